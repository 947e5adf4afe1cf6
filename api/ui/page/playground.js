// The playground: five panels behind tabs, each with what it is asked and its answer.

import { answer } from "./answer.js";
import { ask } from "./ask.js";
import { camera, record, snapshot } from "./capture.js";
import { html, nothing, render } from "./lit-html.js";
import { PANELS } from "./panels.js";

const state = Object.fromEntries(PANELS.map(({ id }) => [id, {}]));
let examples = [];
let shown = PANELS.find(({ id }) => `#${id}` === location.hash) ?? PANELS[0];

const update = () => render(page(), document.getElementById("panels"));
const byId = (id) => document.getElementById(id);

/** Keeps what is to be asked about: a file, a recording, a picture of the camera, or an address. */
function choose(panel, input) {
  const mine = state[panel.id];
  if (mine.busy) return; // what is under way is about the file that is shown
  if (mine.input?.address) URL.revokeObjectURL(mine.input.address);
  if (input.blob) input.address = URL.createObjectURL(input.blob);
  Object.assign(mine, { input, report: null, error: "" });
  update();
}

async function submit(panel) {
  const mine = state[panel.id];
  if (mine.busy) return; // the button is never disabled: that would take the keyboard's focus away
  Object.assign(mine, { busy: true, report: null, error: "" });
  try {
    mine.report = await question(panel, mine);
  } catch (error) {
    mine.error = error.message;
  }
  Object.assign(mine, { busy: false, progress: null });
  update();
  if (panel === shown) reveal(document.querySelector(`#${panel.id} .answer`));
}

/** Scrolls to an answer of which nothing, or only its beginning, is in sight: on a phone it is below all the inputs. */
function reveal(place) {
  const { top } = place.getBoundingClientRect();
  if (top >= 0 && top < innerHeight / 2) return;
  place.scrollIntoView({ behavior: matchMedia("(prefers-reduced-motion: reduce)").matches ? "instant" : "smooth" });
}

async function question(panel, mine) {
  if (!mine.input) throw new Error(`Choose, record or click ${panel.takes === "picture" ? "a picture" : "a recording"} first.`);
  const onProgress = (what, share) => {
    mine.progress = { what, share };
    update();
  };
  onProgress("Sending", null);
  const { blob, url } = mine.input;
  const headers = { "content-type": url ? "application/json" : "application/octet-stream" };
  if (panel.key) headers["x-api-key"] = byId("key").value;
  const report = await ask(`/ui/ask/${panel.id}`, url ? JSON.stringify({ audio_url: url }) : blob, headers, onProgress);
  mine.asked = mine.input.address;
  if (report.face) report.face.cropAddress = URL.createObjectURL(fromBase64(report.face.crop, "image/png"));
  return report;
}

function fromBase64(text, type) {
  return new Blob([Uint8Array.from(atob(text), (character) => character.charCodeAt(0))], { type });
}

async function clickExample(panel, { file, title }) {
  const mine = state[panel.id];
  if (mine.busy) return;
  try {
    const response = await fetch(`/ui/examples/${file}`);
    if (!response.ok) throw new Error("The server does not have this example.");
    choose(panel, { blob: await response.blob(), name: title });
  } catch (error) {
    mine.error = error.message;
    return update();
  }
  submit(panel);
}

/** Starts a recording, or ends the one under way. */
async function toggleRecording(panel) {
  const mine = state[panel.id];
  if (mine.recording) return (await mine.recording).stop();
  try {
    mine.seconds = 0;
    mine.recording = record((seconds) => {
      mine.seconds = seconds;
      update();
    });
    update();
    choose(panel, { blob: await (await mine.recording).finished, name: "Your recording" });
  } catch (error) {
    mine.error = error.message;
  }
  mine.recording = null;
  return update();
}

/** Opens the camera, or takes the picture and closes it. */
async function toggleCamera(panel) {
  const mine = state[panel.id];
  try {
    if (mine.camera) {
      const blob = await snapshot(byId("viewfinder"));
      mine.camera.close();
      mine.camera = null;
      choose(panel, { blob, name: "Your picture" });
    } else {
      if (mine.opening) return;
      mine.opening = true;
      mine.camera = await camera();
    }
  } catch (error) {
    mine.error = error.message;
  }
  mine.opening = false;
  update();
}

/** A line runs over the pictures of a sound while it is played. */
function follow(event, { report }) {
  const share = report?.sound ? Math.min(1, event.target.currentTime / report.sound.duration_s) : 0;
  event.target.closest("section").style.setProperty("--played", share);
}

function show(panel) {
  shown = panel;
  history.replaceState(null, "", `#${panel.id}`);
  update();
}

function moveTab(event) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const place = { Home: 0, End: PANELS.length - 1 }[event.key]
    ?? (event.key in steps ? (PANELS.indexOf(shown) + steps[event.key] + PANELS.length) % PANELS.length : undefined);
  if (place === undefined) return;
  event.preventDefault();
  show(PANELS[place]);
  byId(`tab-${shown.id}`).focus();
}

const page = () => html`
  <div class="tabs" role="tablist" aria-label="Questions" @keydown=${moveTab}>
    ${PANELS.map((panel) => html`<button type="button" role="tab" id="tab-${panel.id}" aria-controls=${panel.id}
      aria-selected=${panel === shown} tabindex=${panel === shown ? 0 : -1} @click=${() => show(panel)}>${panel.tab}</button>`)}
  </div>
  ${PANELS.map(view)}`;

function view(panel) {
  const mine = state[panel.id];
  const onSubmit = (event) => {
    event.preventDefault();
    submit(panel);
  };
  const onDrop = (event) => {
    event.preventDefault();
    const [file] = event.dataTransfer.files;
    if (file) choose(panel, { blob: file, name: file.name });
  };
  return html`<section class="panel" role="tabpanel" id=${panel.id} aria-labelledby="tab-${panel.id}" ?hidden=${panel !== shown}
      @dragover=${(event) => event.preventDefault()} @drop=${onDrop}>
    <form class="card" aria-labelledby="title-${panel.id}" aria-busy=${Boolean(mine.busy)} @submit=${onSubmit}>
      <h2 id="title-${panel.id}">${panel.title}</h2>
      <p class="soft">${panel.about}</p>
      ${inputs(panel, mine)}
      <div class="actions"><button type="submit">Ask</button></div>
      ${clickable(panel)}
    </form>
    <div class="unseen" role="status">${spoken(mine)}</div>
    <div class="card answer" ?hidden=${!mine.busy && !mine.error && !mine.report}>
      <div class="progress">${mine.busy ? progress(mine.progress) : ""}</div>
      <div role="alert">${mine.error ? html`<p class="error">${mine.error}</p>` : ""}</div>
      ${mine.report ? answer(panel, mine.report, mine.asked) : ""}
    </div>
  </section>`;
}

/** What a screen reader is told: that something is under way, and that the answer is there. */
function spoken({ busy, report }) {
  if (busy) return "Working";
  return report ? "The answer is there" : "";
}

function inputs(panel, mine) {
  const onFile = ({ target }) => {
    const [file] = target.files;
    if (file) choose(panel, { blob: file, name: file.name });
    target.value = ""; // so that the same file can be chosen again
  };
  const onUrl = ({ target }) => {
    if (target.value) choose(panel, { url: target.value, name: target.value });
    else if (mine.input?.url) {
      mine.input = null;
      update();
    }
  };
  return html`
    <div class="sources">
      <label class="button" for="file-${panel.id}">Choose a file</label>
      <input class="covered" type="file" id="file-${panel.id}" accept=${panel.accept} @change=${onFile}>
      ${panel.takes === "audio" ? html`<button type="button" class="quiet" @click=${() => toggleRecording(panel)}>
        ${mine.recording ? `Stop (${mine.seconds} s)` : "Record"}</button>` : nothing}
      ${panel.takes === "picture" ? html`<button type="button" class="quiet" @click=${() => toggleCamera(panel)}>
        ${mine.camera ? "Take the picture" : "Use the camera"}</button>` : nothing}
    </div>
    ${panel.url ? html`<div class="field"><label for="url">or the address of an audio file</label>
      <input type="url" id="url" placeholder="https://example.org/clip.mp3" @input=${onUrl}>
      <p class="soft">The server downloads it, from public addresses only.</p></div>` : nothing}
    ${mine.camera ? html`<video id="viewfinder" autoplay playsinline muted aria-label="What the camera sees"
      .srcObject=${mine.camera.stream}></video>` : nothing}
    ${mine.input ? chosen(panel, mine) : nothing}
    ${panel.key ? html`<div class="field"><label for="key">API key</label>
      <input type="password" id="key" autocomplete="off" spellcheck="false">
      <p class="soft">One of the server’s. It stays in this page until you leave it.</p></div>` : nothing}`;
}

function chosen(panel, mine) {
  const { name, address } = mine.input;
  const player = panel.takes === "picture"
    ? html`<img class="preview" src=${address} alt=${name}>`
    : html`<audio controls src=${address} aria-label=${name} @timeupdate=${(event) => follow(event, mine)}></audio>`;
  return html`<div class="chosen"><p>${name}</p>${address ? player : nothing}</div>`;
}

function clickable(panel) {
  const mine = examples.filter(({ question: id }) => id === panel.id);
  const button = (example) => html`<button type="button" class="example" @click=${() => clickExample(panel, example)}>
      ${panel.takes === "picture" ? html`<img src="/ui/examples/${example.file}" alt="">` : nothing}${example.title}</button>`;
  return html`<fieldset><legend>Or click an example</legend><div class="examples">${mine.map(button)}</div>
    <details class="soft"><summary>Where they come from</summary>
      <ul>${mine.map(({ title, credit }) => html`<li>${title}: ${credit}</li>`)}</ul></details></fieldset>`;
}

function progress({ what, share }) {
  return html`<label class="soft">${what}${share === null ? "" : `, ${Math.round(100 * share)} %`}
    <progress max="1" value=${share ?? nothing}></progress></label>`;
}

update();
examples = await (await fetch("/ui/examples/examples.json")).json();
update();
