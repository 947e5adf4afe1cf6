// A picture of an answer, where there is none yet.

import { html, nothing, svg } from "./lit-html.js";

const WIDTHS = [88, 34, 20, 12, 8]; // per cent of a bar: a clear answer

/** What an answer to a question will look like; screen readers are told in a sentence. */
export function sketch(panel) {
  const names = Object.values(panel.words);
  const bars = names.map((name, index) => html`<li><span>${name}</span>
      <svg viewBox="0 0 100 1" preserveAspectRatio="none"><rect class="all" width="100" height="1"></rect>
        <rect class=${index ? "rest" : "won"} width=${WIDTHS[index]} height="1"></rect></svg></li>`);
  return html`<div class="sketch"><h2>What an answer looks like</h2>
    <p class="soft">A verdict, how certain it is, a bar for each class, and what the model looked at.</p>
    <div class="drawn" aria-hidden="true">
      <p class="verdict">${names[0]}</p><p class="certainty"><span class="badge">sure</span> how certain, in words</p>
      <ul>${bars}</ul>
      ${panel.takes === "audio" ? wave() : face()}
      ${panel.url ? html`<svg class="strips" viewBox="0 0 100 12" preserveAspectRatio="none">${[0, 1, 2].map((row) => svg`
        <rect class="won" x=${34 * row} y=${4 * row} width="32" height="3"></rect>`)}</svg>` : nothing}
    </div></div>`;
}

/** Syllables of no real voice. */
function wave() {
  const height = (x) => 2 + 16 * Math.abs(Math.sin(x / 9) * Math.sin(x / 2.3)) * (0.6 + 0.4 * Math.sin(x / 31));
  return html`<svg class="wave" viewBox="0 0 200 40" preserveAspectRatio="none">${Array.from({ length: 100 }, (_, index) => svg`
    <rect x=${2 * index} y=${20 - height(index)} width="1.2" height=${2 * height(index)}></rect>`)}</svg>`;
}

const face = () => html`<svg class="portrait" viewBox="0 0 100 100"><circle cx="50" cy="42" r="20"></circle>
    <path d="M16 100c2-24 16-34 34-34s32 10 34 34z"></path><rect x="24" y="16" width="52" height="52"></rect></svg>`;
