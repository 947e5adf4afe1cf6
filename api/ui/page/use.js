// What can be done with an answer: copy it or its request, and download it.

import { html, nothing } from "./lit-html.js";
import { curl, fileName, json, python, typescript } from "./snippets.js";
import { isKeyed, update } from "./state.js";

const FORMS = { JSON: json, curl, Python: python, TypeScript: typescript };

/** The row of buttons below a verdict, and what was copied last. */
export function use(panel, result) {
  const button = (name) => html`<button type="button" class="quiet" @click=${() => copy(result, name)}>Copy ${name === "JSON" ? "JSON" : `as ${name}`}</button>`;
  const download = () => save(json(result), `${fileName(result.input).replace(/\.\w+$/, "")}.${panel.id}.json`, "application/json");
  return html`<section class="use" aria-label="Use this answer"><div class="sources">${Object.keys(FORMS).map(button)}
      <button type="button" class="quiet" @click=${download}>Download</button></div>
    ${result.copied ? html`<p class="soft" role="status">${result.copied.done ? `Copied as ${result.copied.name}.` : "Select and copy it here:"}
        ${isKeyed(panel) && result.copied.name !== "JSON" ? "The key is read from the variable API_KEY." : ""}</p>
      <pre tabindex="0" role="region" aria-label="As ${result.copied.name}"><code>${result.copied.text}</code></pre>
      <button type="button" class="plain" @click=${() => hide(result)}>Hide</button>` : nothing}</section>`;
}

function hide(result) {
  result.copied = null;
  update();
}

async function copy(result, name) {
  const text = FORMS[name](result);
  // Without https there is no clipboard: the text is shown all the same, and can be selected.
  const done = await (navigator.clipboard?.writeText(text).then(() => true, () => false) ?? false);
  result.copied = { name, text, done };
  update();
}

/** Hands a text to the browser as a file. */
export function save(text, name, type) {
  const link = Object.assign(document.createElement("a"), { href: URL.createObjectURL(new Blob([text], { type })), download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
