// What stands in a panel's answer: the verdict, a bar for each class, the models, and what they looked at.

import { faceMarks, lane, range, timeAxis, waveform } from "./drawing.js";
import { html } from "./lit-html.js";
import { PROBLEMS } from "./panels.js";

const percent = (share) => `${(100 * share).toFixed(1)} %`;
const seconds = (value) => `${value < 100 ? value.toFixed(1) : Math.round(value)} s`;
const hertz = (value) => (value >= 1000 ? `${value / 1000} kHz` : `${value} Hz`);

/** Three significant digits. */
const number = (value) => String(Number(value.toPrecision(3)));

const feature = (name) => name.replace(/^(mfcc|hnr|rms)/, (short) => short.toUpperCase()).replace("zcr", "zero-crossing rate")
  .replaceAll("_", " ");

/** How a class is spoken of; weights from elsewhere may bring classes of their own. */
const spoken = (panel, name) => panel.words[name] ?? name;

/**
 * @param {object} panel one of PANELS
 * @param {object} report what the server answered
 * @param {string|null} picture address of the picture that was asked about
 */
export function answer(panel, report, picture) {
  return html`
    <p class="verdict">${spoken(panel, report.verdict)}${report.uncertain ? " (uncertain)" : ""}</p>
    ${bars(report.shares.map(({ name, probability }) => [spoken(panel, name), probability]))}
    ${report.problems.length ? problems(report.problems) : ""}
    ${models(report.models)}
    ${report.votes.length ? votes(report) : ""}
    ${report.explanation ? explanation(report.explanation) : ""}
    ${report.sound ? sound(panel, report) : ""}
    ${report.face ? face(report.face, picture) : ""}
    ${report.features.length ? features(report.features) : ""}`;
}

/** One labelled bar for each [name, share], share being 0 to 1. */
function bars(pairs) {
  const rows = pairs.map(([name, share]) => html`<li><label><span>${name}</span>
      <meter min="0" max="1" value=${share}>${percent(share)}</meter><span>${percent(share)}</span></label></li>`);
  return html`<ul class="bars">${rows}</ul>`;
}

const problems = (names) => html`<p class="note">This recording is hard to judge: ${names.map((name) => PROBLEMS[name]).join(", ")}.</p>`;

function models(items) {
  const rows = items.map(({ title, tag, card }) => html`<li>
      ${card ? html`<a href=${card} target="_blank">${title}</a>` : title} <code>${tag}</code></li>`);
  return html`<ul class="models soft" aria-label="Models that answered"><li>Answered by</li>${rows}</ul>`;
}

function votes({ votes: members, shares, threshold }) {
  const together = shares.find(({ name }) => name === "AI_GENERATED").probability;
  return html`<section class="votes"><h3>How the three voted</h3>
    <p class="soft">Each one’s probability that an AI spoke, and how much it counts. Together: ${percent(together)};
      above ${percent(threshold)} the answer is AI-generated.</p>
    ${bars(members.map(({ title, score, weight }) => [`${title} (×${weight})`, score]))}</section>`;
}

function explanation(text) {
  const sentences = text.split(/(?<=\.) (?=[A-Z])/);
  return html`<section class="why"><h3>Why</h3>${sentences.map((sentence) => html`<p>${sentence}</p>`)}</section>`;
}

/** Waveform, spectrogram and, where there are several windows, their answers: all over one time. */
function sound(panel, { sound: heard, windows }) {
  const lanes = (windows[0]?.shares ?? []).map(({ name }) => html`
      <span class="axis">${spoken(panel, name)}</span><div class="plot">${lane(windows, name, spoken(panel, name))}</div>`);
  const source = `${heard.container}, ${hertz(heard.sample_rate)}, ${heard.channels === 1 ? "mono" : `${heard.channels} channels`}`;
  return html`<section class="sound"><h3>What the model heard</h3>
    <p class="soft">${seconds(heard.duration_s)} at ${hertz(heard.heard_rate)}, mono (source: ${source}).
      ${windows.length ? `${windows.length} windows, each answered by itself: the stronger the colour, the more probable.` : ""}</p>
    <div class="plots">
      <span class="axis">Waveform</span><div class="plot">${waveform(heard.outline)}</div>
      <span class="axis tall"><span>${hertz(heard.spectrogram.top_hz)}</span><span>Mel</span><span>0 Hz</span></span>
      <div class="plot"><mel-picture role="img" aria-label="Mel spectrogram" .spectrogram=${heard.spectrogram}></mel-picture></div>
      ${lanes}
      <span class="axis"></span>${timeAxis(heard.duration_s)}
    </div></section>`;
}

function face(found, picture) {
  return html`<section><h3>What the model saw</h3>
    <div class="faces">
      <figure><div class="marked"><img src=${picture} alt="The picture">${faceMarks(found)}</div>
        <figcaption class="soft">The largest face, found with ${percent(found.score)} confidence</figcaption></figure>
      <figure><img class="crop" src=${found.cropAddress} alt="The face, upright and cut out">
        <figcaption class="soft">Cut out, as the model reads it</figcaption></figure>
    </div></section>`;
}

const PLACES = { inside: "", below: "below", above: "above", "not measurable": "not measurable" };

function features(items) {
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
