// What stands beside a question: a sketch before it is asked, then the verdict, what it rests on, and what to do with it.

import { problem } from "./advice.js";
import { bar } from "./bars.js";
import { WORDS, certainty, percent, scoreOf } from "./certainty.js";
import { faceMarks } from "./drawing.js";
import { html, nothing } from "./lit-html.js";
import { spoken } from "./panels.js";
import { several } from "./several.js";
import { sketch } from "./sketch.js";
import { sound } from "./sound.js";
import { use } from "./use.js";
import { explanation, features, votes } from "./votes.js";

/** All that stands in the place of the answer, but for progress and errors. */
export function answerOf(panel, mine) {
  const { results, selected, busy, error } = mine;
  if (!results.length) return busy || error ? nothing : sketch(panel);
  const shown = results[selected];
  return html`${results.length > 1 ? several(panel, mine) : nothing}
    ${shown.report ? answer(panel, shown) : results.length > 1 ? html`<p class="error">${shown.error.message}</p>
      <p class="advice">${shown.error.advice}</p>` : nothing}`;
}

/** What a screen reader is told: that something is under way, and then the answer itself. */
export function words(panel, { busy, results, inputs }) {
  if (busy) return inputs.length > 1 ? `Working, ${results.length} of ${inputs.length} answered` : "Working";
  if (results.length > 1) return `${results.filter(({ report }) => report).length} of ${results.length} files were answered`;
  return results[0]?.report ? inWords(panel, results[0].report) : "";
}

/** An answer in one or two sentences. */
export function inWords(panel, report) {
  const { level, share } = certainty(report);
  const notes = report.problems.map((name) => ` ${problem(name)}`).join("");
  return `${panel.title} ${spoken(panel, report.verdict)}: ${level}, ${percent(share)}.${notes}`;
}

function answer(panel, result) {
  const { report, input } = result;
  return html`
    ${verdict(panel, report, input)}
    ${report.threshold === null ? classes(panel, report) : score(report)}
    ${report.problems.length ? html`<ul class="note problems">${report.problems.map((name) => html`<li>${problem(name)}</li>`)}</ul>` : nothing}
    ${changes(panel, report.windows)}
    ${models(report.models)}
    ${use(panel, result)}
    ${report.votes.length ? votes(report) : nothing}
    ${report.explanation ? explanation(report.explanation) : nothing}
    ${report.sound ? sound(panel, result) : nothing}
    ${report.face ? face(report.face, input.address) : nothing}
    ${report.features.length ? features(report.features) : nothing}`;
}

function verdict(panel, report, { truth, name }) {
  const { level, share } = certainty(report);
  return html`<div class="head ${level}"><p class="soft of">${name}</p>
    <p class="verdict">${spoken(panel, report.verdict)}</p>
    <p class="certainty"><span class="badge">${level}</span> <strong>${percent(share)}</strong> <span>${WORDS[level]}</span></p>
    ${truth ? html`<p class="soft">In truth: ${spoken(panel, truth)}. The answer is ${truth === report.verdict ? "right" : "wrong"}.</p>` : nothing}</div>`;
}

/** A bar for each class, the most probable first: that of the answer has its colour. */
const classes = (panel, report) => html`<ul class="bars">${report.shares.map(({ name, probability }) => bar(spoken(panel, name), probability,
  { level: name === report.verdict ? certainty(report).level : "" }))}</ul>`;

/** One bar for the score that decides, and the threshold that it is above or below. */
function score(report) {
  const { threshold, shares } = report;
  const side = scoreOf(shares) > threshold ? "above" : "not above";
  return html`<ul class="bars">${bar("AI score", scoreOf(shares), { level: certainty(report).level, mark: threshold })}</ul>
    <p class="soft">The score is ${side} the threshold of ${percent(threshold)} (the line): above it a voice is called AI-generated.</p>`;
}

/** What a recording is from when to when, where it is not the same all along. */
function changes(panel, windows) {
  const parts = [];
  for (const { start_s, end_s, shares } of windows) {
    const { name } = shares.reduce((most, share) => (share.probability > most.probability ? share : most));
    if (parts.at(-1)?.name === name) parts.at(-1).end = end_s;
    else parts.push({ name, start: start_s, end: end_s });
  }
  if (parts.length < 2) return nothing;
  const time = (value) => (parts.at(-1).end < 100 ? value.toFixed(1) : Math.round(value));
  return html`<section class="changes"><h3>It changes</h3><ol>${parts.slice(0, 12).map(({ name, start, end }) => html`<li>
      <span class="soft">${time(start)} to ${time(end)} s</span> ${spoken(panel, name)}</li>`)}
      ${parts.length > 12 ? html`<li class="soft">and ${parts.length - 12} more, below</li>` : nothing}</ol></section>`;
}

function models(items) {
  const rows = items.map(({ title, tag, card }) => html`<li>
      ${card ? html`<a href=${card} target="_blank">${title}</a>` : title} <code>${tag}</code></li>`);
  return html`<ul class="models soft" aria-label="Models that answered"><li>Answered by</li>${rows}</ul>`;
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
