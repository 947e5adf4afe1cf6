// The one microphone or camera that is in use: its controls, and that it never outlives its purpose.

import { explained } from "./advice.js";
import { LONGEST_S, camera, microphone, record, snapshot } from "./capture.js";
import { levelOf, percent } from "./certainty.js";
import { html } from "./lit-html.js";
import { spoken } from "./panels.js";
import { isKeyed, of, replaceInputs, state, update } from "./state.js";
import { openStream } from "./stream.js";

// {panel, kind: "microphone"|"camera", seconds, level, message, stop, cancel, stream}; none while nothing is in use.
let current = null;

export const capturing = (panel) => (current?.panel === panel ? current : null);

/**
 * Ends what records or films: another source was chosen, the page was left, or an answer is there.
 * @param {{keep?: boolean}} how keep: what was recorded so far is chosen; a picture that was not taken is not
 */
export function endCapture({ keep = false } = {}) {
  if (!current) return;
  const ended = current;
  current = null;
  if (keep) ended.stop();
  else ended.cancel();
  update();
}

/** Begins with one of the two; what is opened after it was cancelled is closed at once. */
async function begin(panel, kind, open, use) {
  endCapture();
  if (of(panel).busy) return;
  const mine = { panel, kind, seconds: 0, level: 0, message: null, stop() {}, cancel() {} };
  current = mine;
  update();
  try {
    const source = await open();
    if (current === mine) await use(source, mine);
    else source.close();
  } catch (error) {
    if (current === mine) current = null;
    of(panel).error = explained(error.message);
  }
  update();
}

export const startRecording = (panel) => begin(panel, "microphone", microphone, async (source, mine) => {
  const change = (what) => {
    Object.assign(mine, what);
    update();
  };
  const live = listen(panel, (message) => change({ message }));
  const { stop, cancel, finished } = record(source, (seconds, level) => change({ seconds, level }), live.send);
  change({ stop, cancel });
  const blob = await finished;
  live.end();
  if (current === mine) current = null;
  if (blob) replaceInputs(panel, [{ blob, name: "Your recording", file: `recording.${blob.type.match(/\w+\/(\w+)/)[1]}` }]);
});

/** The stream on which the server answers while somebody speaks; without a key that it needs there is none. */
function listen(panel, onMessage) {
  const key = isKeyed(panel) ? state.key.trim() : "";
  if (!isKeyed(panel) || key) return openStream(panel.id, key, onMessage);
  onMessage({ status: "error", message: "With the API key there is an answer while you speak." });
  return { send() {}, end() {} };
}

export const startCamera = (panel) => begin(panel, "camera", camera, (source, mine) => {
  Object.assign(mine, { stream: source.stream, stop: source.close, cancel: source.close });
});

async function takePicture(panel) {
  const mine = current;
  try {
    const blob = await snapshot(document.getElementById("viewfinder"));
    if (current !== mine) return; // cancelled meanwhile
    endCapture();
    replaceInputs(panel, [{ blob, name: "Your picture", file: "picture.jpg" }]);
  } catch (error) {
    of(panel).error = explained(error.message);
    update();
  }
}

/** The answer while somebody speaks; what is told to screen readers changes with the answer, not with each number. */
function soFar(panel, message) {
  if (message?.status !== "success") return html`<p class="soft">${message?.message ?? "Speak: the answer so far comes here."}</p>`;
  const { prediction, confidence, uncertain, problems } = message;
  const level = levelOf(confidence, uncertain, problems);
  return html`<p>So far: <span role="status"><strong>${spoken(panel, prediction)}</strong> <span class="badge ${level}">${level}</span></span>
    <span class="number">${percent(confidence)}</span></p>`;
}

const clock = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

/** What stands in place of the drop zone while the microphone or the camera is on. */
export function controls(panel, { kind, seconds, level, message, stream, stop }) {
  if (kind === "camera") {
    return html`<div class="live" role="group" aria-label="Camera"><p class="on-air">Camera is on</p>
      <video id="viewfinder" autoplay playsinline muted aria-label="What the camera sees" .srcObject=${stream ?? null}></video>
      <div class="sources"><button type="button" @click=${() => takePicture(panel)}>Take the picture</button>
        <button type="button" class="quiet" @click=${() => endCapture()}>Cancel</button></div></div>`;
  }
  return html`<div class="live" role="group" aria-label="Recording"><p class="on-air">Recording
      <span class="clock">${clock(seconds)} of ${clock(LONGEST_S)}</span></p>
    <label class="level soft">Level <meter min="0" max="1" value=${level.toFixed(2)}></meter></label>
    <div class="so-far">${soFar(panel, message)}</div>
    <div class="sources"><button type="button" class="stop" @click=${() => stop()}>Stop</button>
      <button type="button" class="quiet" @click=${() => endCapture()}>Cancel</button></div></div>`;
}

document.addEventListener("visibilitychange", () => document.hidden && endCapture({ keep: true }));
addEventListener("pagehide", () => endCapture());
