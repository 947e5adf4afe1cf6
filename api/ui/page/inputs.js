// What a question is asked with: the drop zone, the address, the key, what is chosen, and the examples.

import { choose, chooseFiles, chooseUrl, clickExample, remove } from "./actions.js";
import { html, nothing } from "./lit-html.js";
import { capturing, controls, startCamera, startRecording } from "./live.js";
import { spoken } from "./panels.js";
import { isKeyed, isOpen, of, state } from "./state.js";

export function inputs(panel) {
  if (!isOpen(panel)) return closed();
  const mine = of(panel);
  const capture = capturing(panel);
  return html`
    ${capture ? controls(panel, capture) : dropZone(panel, mine)}
    ${panel.url ? address(panel, mine) : nothing}
    ${isKeyed(panel) ? key(panel, mine) : nothing}
    ${mine.inputs.length ? chosen(panel, mine) : nothing}
    ${examples(panel)}`;
}

const closed = () => html`<div class="note uncertain"><p><strong>This server has no API key, so it refuses this question to every caller.</strong></p>
    <p>Start it with one: <code>API_KEY=secret make serve</code>, and give the same key here.</p></div>`;

function dropZone(panel, { error }) {
  const isWrong = error?.field === "file";
  const onFile = ({ target }) => {
    chooseFiles(panel, target.files);
    target.value = ""; // so that the same file can be chosen again
  };
  const { labels, accept } = state.server.takes[panel.takes];
  const what = panel.takes === "picture" ? "a picture" : "audio";
  return html`<div class="drop ${isWrong ? "wrong" : ""} ${state.dragging ? "over" : ""}">
    <p class="drop-title">Drop ${what} anywhere</p>
    <p class="soft">or paste it, one file or several: ${labels}</p>
    <div class="sources">
      <label class="button" for="file-${panel.id}">Choose files</label>
      <input class="covered" type="file" multiple id="file-${panel.id}" accept=${accept} @change=${onFile}
        aria-invalid=${isWrong ? "true" : nothing} aria-describedby=${isWrong ? `error-${panel.id}` : nothing}>
      ${panel.takes === "picture"
        ? html`<button type="button" class="quiet" @click=${() => startCamera(panel)}>Use the camera</button>`
        : html`<button type="button" class="quiet" @click=${() => startRecording(panel)}>Record</button>`}
    </div></div>`;
}

/** A labelled field that is marked where it is what an error is about. */
function field(id, label, hint, error, input) {
  const isWrong = error?.field === id.split("-")[0];
  return html`<div class="field ${isWrong ? "wrong" : ""}"><label for=${id}>${label}</label>
    ${input(isWrong ? "true" : nothing, isWrong ? `hint-${id} wrong-${id}` : `hint-${id}`)}
    ${isWrong ? html`<p class="field-error" id="wrong-${id}">${error.message}</p>` : nothing}
    <p class="soft" id="hint-${id}">${hint}</p></div>`;
}

const address = (panel, mine) => field("url", "or the address of an audio file", "The server downloads it, from public addresses only.",
  mine.error, (invalid, described) => html`<input type="url" id="url" placeholder="https://example.org/clip.mp3" autocomplete="off"
    .value=${mine.url} @input=${({ target }) => chooseUrl(panel, target.value)} aria-invalid=${invalid} aria-describedby=${described}>`);

const key = (panel, mine) => field(`key-${panel.id}`, "API key", "One of the server’s. It stays in this page until you leave it.",
  mine.error, (invalid, described) => html`<input type="password" id="key-${panel.id}" autocomplete="off" spellcheck="false"
    .value=${state.key} @input=${({ target }) => { state.key = target.value; }} aria-invalid=${invalid} aria-describedby=${described}>`);

function chosen(panel, mine) {
  const isAnswered = ({ address: own }) => mine.results.some(({ input, report }) => report && input.address === own);
  const player = (input) => (panel.takes === "picture"
    ? html`<img class="preview" src=${input.address} alt=${input.name}>`
    : html`<audio controls src=${input.address} aria-label=${input.name}></audio>`);
  const row = (input) => html`<li><span class="name">${input.name}</span>
    ${mine.busy ? nothing : html`<button type="button" class="plain" aria-label="Remove ${input.name}" @click=${() => remove(panel, input)}>✕</button>`}
    ${input.address && !isAnswered(input) && mine.inputs.length < 4 ? player(input) : nothing}</li>`;
  return html`<ul class="chosen" aria-label="Chosen">${mine.inputs.map(row)}</ul>
    <div class="actions"><button type="submit">${mine.inputs.length > 1 ? `Ask about ${mine.inputs.length} files` : "Ask"}</button>
      ${mine.inputs.length > 1 && !mine.busy ? html`<button type="button" class="quiet" @click=${() => choose(panel, [])}>Remove all</button>` : nothing}
    </div>`;
}

function examples(panel) {
  const mine = state.examples.filter(({ question: id }) => id === panel.id);
  if (!mine.length) return nothing;
  const row = (example) => html`<li><button type="button" class="example" @click=${() => clickExample(panel, example)}>
      ${panel.takes === "picture" ? html`<img src="/ui/examples/${example.file}" alt="">` : nothing}${example.title}</button>
      <span class="truth soft">${example.note ?? spoken(panel, example.truth)}</span></li>`;
  return html`<fieldset><legend>Or click an example <span class="soft">(beside it: the truth)</span></legend>
    <ul class="examples">${mine.map(row)}</ul>
    <details class="soft"><summary>Where they come from</summary>
      <ul>${mine.map(({ title, credit }) => html`<li>${title}: ${credit}</li>`)}</ul></details></fieldset>`;
}
