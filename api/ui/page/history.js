// The answers of this session: to look at again, and to compare.

import { showAgain } from "./actions.js";
import { certainty, percent } from "./certainty.js";
import { html, nothing } from "./lit-html.js";
import { spoken } from "./panels.js";
import { state, update } from "./state.js";

export function history() {
  if (!state.history.length) return nothing;
  const compared = state.history.filter((result) => state.compared.has(result)).reverse();
  return html`<section class="card history" aria-labelledby="history"><h2 id="history">This session</h2>
    <p class="soft">Kept in this page until you leave it. Tick two or more of one question to compare them.</p>
    <div class="scroll" tabindex="0" role="region" aria-label="Answers of this session"><table>
      <thead><tr><th scope="col">Compare</th><th scope="col">Time</th><th scope="col">Question</th><th scope="col">About</th>
        <th scope="col">Answer</th><th scope="col">Certainty</th><th scope="col" class="number">Confidence</th></tr></thead>
      <tbody>${state.history.map(row)}</tbody></table></div>
    ${compared.length > 1 ? comparison(compared) : nothing}</section>`;
}

function row(result) {
  const { panel, input, time, report } = result;
  const { level, share } = certainty(report);
  const other = [...state.compared][0];
  const isOther = other && other.panel !== panel;
  return html`<tr><td><input type="checkbox" aria-label="Compare ${input.name}" .checked=${state.compared.has(result)}
      @change=${() => toggle(result, isOther)}></td>
    <td class="soft">${time.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" })}</td><td>${panel.tab}</td>
    <td><button type="button" class="plain" @click=${() => showAgain(result)}>${input.name}</button></td>
    <td>${spoken(panel, report.verdict)}</td><td><span class="badge ${level}">${level}</span></td><td class="number">${percent(share)}</td></tr>`;
}

/** Only answers to one question can be compared: one of another question begins anew. */
function toggle(result, isOther) {
  if (isOther) state.compared.clear();
  if (!state.compared.delete(result)) state.compared.add(result);
  update();
}

function comparison(results) {
  const { panel } = results[0];
  const names = results[0].report.shares.map(({ name }) => name);
  const of = ({ report }, name) => report.shares.find((share) => share.name === name)?.probability ?? 0;
  return html`<section class="comparison"><h3>Compared: ${panel.title}</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Comparison"><table>
      <thead><tr><th scope="col">Class</th>${results.map(({ input }) => html`<th scope="col">${input.name}</th>`)}</tr></thead>
      <tbody>${names.map((name) => html`<tr><th scope="row">${spoken(panel, name)}</th>
        ${results.map((result) => html`<td class=${name === result.report.verdict ? certainty(result.report).level : ""}>
          <meter min="0" max="1" value=${of(result, name)} aria-label="${spoken(panel, name)}, ${result.input.name}"></meter>
          <span class="number">${percent(of(result, name))}</span></td>`)}</tr>`)}</tbody></table></div></section>`;
}
