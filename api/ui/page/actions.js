// What a person does: choose, drop, paste, click an example, ask, look at another question.

import { explained } from "./advice.js";
import { ask } from "./ask.js";
import { PANELS } from "./panels.js";
import { endCapture } from "./live.js";
import { isKeyed, isOpen, of, remember, replaceInputs, state, update } from "./state.js";

/** Chooses what is to be asked about; whatever records or films ends. */
export function choose(panel, inputs) {
  if (of(panel).busy) return; // what is under way is about the files that are shown
  endCapture();
  replaceInputs(panel, inputs);
}

/** Files of a field, of the clipboard or dropped. Those of the other kind go to a question that takes them. */
export function chooseFiles(panel, list) {
  const files = [...list];
  if (!files.length) return;
  const kind = files[0].type.split("/")[0];
  const other = { image: "picture", audio: "audio" }[kind] ?? panel.takes;
  const target = other === panel.takes ? panel : PANELS.find(({ takes }) => takes === other);
  if (target !== panel) show(target);
  choose(target, files.map((blob) => ({ blob, name: blob.name || `pasted.${blob.type.split("/")[1]}` })));
}

/** What stands in the field of the address is what is asked about. */
export function chooseUrl(panel, text) {
  const url = text.trim();
  if (url) choose(panel, [{ url, name: url }]);
  else if (of(panel).inputs[0]?.url) choose(panel, []);
}

export function remove(panel, input) {
  choose(panel, of(panel).inputs.filter((other) => other !== input));
}

/** Chooses an example and asks about it. */
export async function clickExample(panel, { file, title, truth }) {
  const mine = of(panel);
  if (mine.busy) return;
  try {
    const response = await fetch(`/ui/examples/${file}`);
    if (!response.ok) throw new Error("The server does not have this example.");
    choose(panel, [{ blob: await response.blob(), name: title, file, truth, isExample: true }]);
  } catch (error) {
    mine.error = explained(error.message);
    return update();
  }
  return submit(panel);
}

/** Asks about everything that is chosen, one after the other; one that fails stops no other. */
export async function submit(panel) {
  const mine = of(panel);
  if (mine.busy || !mine.inputs.length || !isOpen(panel)) return; // the button is never disabled: it would lose the focus
  endCapture();
  if (isKeyed(panel) && !state.key.trim()) return missingKey(panel, mine);
  Object.assign(mine, { busy: true, results: [], selected: 0, error: null });
  for (const input of mine.inputs) {
    const result = { panel, input, time: new Date(), report: null, error: null };
    try {
      result.report = await question(panel, mine, input);
      remember(result);
    } catch (error) {
      result.error = explained(error.message);
    }
    mine.results = [...mine.results, result];
    update();
  }
  Object.assign(mine, { busy: false, progress: null });
  if (mine.results.length === 1) mine.error = mine.results[0].error;
  update();
  if (panel === state.shown) reveal(document.querySelector(`#${panel.id} .answer`));
}

function missingKey(panel, mine) {
  mine.error = { message: "This question needs an API key.", advice: "Give one of the server’s keys, then ask again.", field: "key" };
  update();
  document.getElementById(`key-${panel.id}`).focus();
}

async function question(panel, mine, { blob, url }) {
  const place = mine.inputs.length > 1 ? `File ${mine.results.length + 1} of ${mine.inputs.length}: ` : "";
  const onProgress = (what, share) => {
    mine.progress = { what: place + (place ? what.toLowerCase() : what), share };
    update();
  };
  if (blob?.size > state.server.max_body_bytes) {
    throw new Error(`The file is larger than ${state.server.max_body_bytes / 2 ** 20} MiB, this server’s limit.`);
  }
  onProgress("Sending", null);
  const headers = { "content-type": url ? "application/json" : "application/octet-stream" };
  if (isKeyed(panel)) headers["x-api-key"] = state.key.trim();
  const report = await ask(`/ui/ask/${panel.id}`, url ? JSON.stringify({ audio_url: url }) : blob, headers, onProgress);
  if (report.face) report.face.cropAddress = URL.createObjectURL(fromBase64(report.face.crop, "image/png"));
  return report;
}

function fromBase64(text, type) {
  return new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], { type });
}

/** Scrolls to an answer of which nothing, or only its beginning, is in sight: on a phone it is below all the inputs. */
function reveal(place) {
  const { top } = place.getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 2) return;
  place.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
}

/** Shows a question. */
export function show(panel) {
  if (panel !== state.shown) endCapture({ keep: true });
  state.shown = panel;
  history.replaceState(null, "", `#${panel.id}`);
  update();
}

/** Shows an answer of the history again. */
export function showAgain(result) {
  const mine = of(result.panel);
  if (mine.busy) return;
  show(result.panel);
  replaceInputs(result.panel, [result.input]);
  mine.results = [result];
  update();
  reveal(document.querySelector(`#${result.panel.id} .answer`));
}
