// What the answer about an AI voice rests on: three votes, the reasons in words, and 47 measured features.

import { bar } from "./bars.js";
import { range } from "./drawing.js";
import { html } from "./lit-html.js";

/** Three significant digits. */
const number = (value) => String(Number(value.toPrecision(3)));

const feature = (name) => name.replace(/^(mfcc|hnr|rms)/, (short) => short.toUpperCase()).replace("zcr", "zero-crossing rate")
  .replaceAll("_", " ");

export function votes({ votes: members }) {
  return html`<section class="votes"><h3>How the three voted</h3>
    <p class="soft">Each one’s probability that an AI spoke, and how much it counts in the score.</p>
    <ul class="bars">${members.map(({ title, score, weight }) => bar(`${title} (×${weight})`, score))}</ul></section>`;
}

export function explanation(text) {
  const sentences = text.split(/(?<=\.) (?=[A-Z])/);
  return html`<section class="why"><h3>Why</h3>${sentences.map((sentence) => html`<p>${sentence}</p>`)}</section>`;
}

const PLACES = { inside: "", below: "below", above: "above", "not measurable": "not measurable" };

export function features(items) {
  const outside = items.filter(({ place }) => place === "below" || place === "above");
  const rest = items.filter((item) => !outside.includes(item));
  const rows = [...outside, ...rest].map((item) => html`<tr class=${outside.includes(item) ? "outside" : ""}>
      <th scope="row">${feature(item.name)}</th><td>${number(item.value)} ${item.unit === "ratio" ? "" : item.unit}</td>
      <td>${range(item)}</td><td class="place">${PLACES[item.place]}</td>
      <td>${number(item.low)} to ${number(item.high)}</td></tr>`);
  return html`<section><h3>${items.length} acoustic features</h3>
    <p class="soft">The human range is that of 98 % of human training speech; ${outside.length} of these values are outside of it. That is
      unusual, and by itself no sign of an AI: the reasons above weigh how much more often AI voices than people have such values.</p>
    <div class="scroll short" tabindex="0" role="region" aria-label="Acoustic features"><table class="features">
      <thead><tr><th scope="col">Feature</th><th scope="col">Measured</th><th scope="col" aria-label="Place"></th>
        <th scope="col">Outside</th><th scope="col">Human range</th></tr></thead>
      <tbody>${rows}</tbody></table></div>
    <button type="button" class="quiet" @click=${unfold}>Show all ${items.length}</button></section>`;
}

/** Shows all of the table before a button, once and for all. */
function unfold({ currentTarget: button }) {
  button.previousElementSibling.classList.remove("short");
  button.hidden = true;
  button.previousElementSibling.focus();
}
