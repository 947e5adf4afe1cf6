// The answers about several files in a table, and the same as CSV.

import { problem } from "./advice.js";
import { certainty, percent } from "./certainty.js";
import { html, nothing } from "./lit-html.js";
import { spoken } from "./panels.js";
import { update } from "./state.js";
import { save } from "./use.js";

export function several(panel, mine) {
  const { results, selected, inputs } = mine;
  const select = (index) => {
    mine.selected = index;
    update();
  };
  const row = ({ input, report, error }, index) => html`<tr class=${index === selected ? "selected" : ""}>
      <th scope="row"><button type="button" class="plain" aria-pressed=${index === selected} @click=${() => select(index)}>${input.name}</button></th>
      ${report ? answered(panel, report) : html`<td colspan="3" class="error">${error.message}</td>`}</tr>`;
  return html`<section class="several"><h3>${results.length} of ${inputs.length} files</h3>
    <div class="scroll" tabindex="0" role="region" aria-label="Answers by file"><table>
      <thead><tr><th scope="col">File</th><th scope="col">Answer</th><th scope="col">Certainty</th><th scope="col" class="number">Confidence</th></tr></thead>
      <tbody>${results.map(row)}</tbody></table></div>
    ${mine.busy ? nothing : html`<button type="button" class="quiet" @click=${() => save(csv(panel, results), `${panel.id}.csv`, "text/csv")}>Export as CSV</button>`}
    </section>`;
}

function answered(panel, report) {
  const { level, share } = certainty(report);
  return html`<td>${spoken(panel, report.verdict)}</td><td><span class="badge ${level}">${level}</span></td><td class="number">${percent(share)}</td>`;
}

/** One line for each file, with a column for each class. */
export function csv(panel, results) {
  const classes = [...new Set(results.flatMap(({ report }) => report?.shares.map(({ name }) => name) ?? []))].sort();
  const rows = results.map(({ input, report, error }) => {
    if (!report) return [input.name, "", "", "", ...classes.map(() => ""), "", error.message];
    const { level, share } = certainty(report);
    const of = (name) => report.shares.find((item) => item.name === name)?.probability ?? "";
    return [input.name, report.verdict, level, share, ...classes.map(of), report.problems.map(problem).join(" "), ""];
  });
  return [["file", "prediction", "certainty", "confidence", ...classes, "problems", "error"], ...rows]
    .map((row) => `${row.map(cell).join(",")}\r\n`).join("");
}

/** A cell of CSV; what a spreadsheet would take for a formula stays text. */
function cell(value) {
  const text = typeof value === "number" ? value.toFixed(6) : value;
  const safe = /^[=+@\t\r-]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
