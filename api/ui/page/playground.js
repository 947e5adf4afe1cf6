// The playground: questions behind tabs, each with what it is asked and its answer.

import { chooseFiles, chooseUrl, show, submit } from "./actions.js";
import { answerOf, words } from "./answer.js";
import { history } from "./history.js";
import { inputs } from "./inputs.js";
import { html, nothing, render } from "./lit-html.js";
import { PANELS } from "./panels.js";
import { drawBy, isOpen, know, of, state, update } from "./state.js";

drawBy(() => render(page(), document.getElementById("panels")));

function moveTab(event) {
  const steps = { ArrowRight: 1, ArrowDown: 1, ArrowLeft: -1, ArrowUp: -1 };
  const place = { Home: 0, End: PANELS.length - 1 }[event.key]
    ?? (event.key in steps ? (PANELS.indexOf(state.shown) + steps[event.key] + PANELS.length) % PANELS.length : undefined);
  if (place === undefined) return;
  event.preventDefault();
  show(PANELS[place]);
  document.getElementById(`tab-${state.shown.id}`).focus();
}

const tab = (panel) => html`<button type="button" role="tab" id="tab-${panel.id}" aria-controls=${panel.id}
    aria-selected=${panel === state.shown} tabindex=${panel === state.shown ? 0 : -1} @click=${() => show(panel)}>
    ${panel.tab}<span class="short" aria-hidden="true">${panel.short}</span></button>`;

const page = () => html`
  <div class="tabs" role="tablist" aria-label="Questions" @keydown=${moveTab}>${PANELS.map(tab)}</div>
  ${PANELS.map(view)}
  ${history()}`;

function view(panel) {
  const mine = of(panel);
  const onSubmit = (event) => {
    event.preventDefault();
    submit(panel);
  };
  return html`<section class="panel" role="tabpanel" id=${panel.id} aria-labelledby="tab-${panel.id}" ?hidden=${panel !== state.shown}>
    <form class="card" aria-labelledby="title-${panel.id}" aria-busy=${Boolean(mine.busy)} @submit=${onSubmit}>
      <h2 id="title-${panel.id}">${panel.title}</h2>
      <p class="soft">${panel.about}</p>
      ${inputs(panel)}
    </form>
    <div class="unseen" role="status">${words(panel, mine)}</div>
    <div class="card answer" ?hidden=${!isOpen(panel)}>
      <div class="progress">${mine.busy ? progress(mine.progress) : ""}</div>
      <div role="alert" id="error-${panel.id}">${mine.error ? html`<p class="error">${mine.error.message}</p>
        ${mine.error.advice ? html`<p class="advice">${mine.error.advice}</p>` : nothing}` : ""}</div>
      ${answerOf(panel, mine)}
    </div>
  </section>`;
}

function progress(now) {
  const { what, share } = now ?? { what: "Sending", share: null };
  return html`<label class="soft">${what}${share === null ? "" : `, ${Math.round(100 * share)} %`}
    <progress max="1" value=${share ?? nothing}></progress></label>`;
}

/** Files may be dropped anywhere; the browser would leave the page for one that is dropped beside the zone. */
function listen() {
  const hasFiles = (event) => event.dataTransfer?.types.includes("Files");
  const drag = (isOver) => {
    if (isOver !== state.dragging) {
      state.dragging = isOver;
      update();
    }
  };
  addEventListener("dragover", (event) => {
    if (!hasFiles(event)) return;
    event.preventDefault();
    drag(true);
  });
  addEventListener("dragleave", (event) => event.relatedTarget || drag(false));
  addEventListener("drop", (event) => {
    drag(false);
    if (!hasFiles(event)) return;
    event.preventDefault();
    chooseFiles(state.shown, event.dataTransfer.files);
  });
  addEventListener("paste", (event) => {
    const { files } = event.clipboardData;
    const text = event.clipboardData.getData("text/plain").trim();
    if (files.length) chooseFiles(state.shown, files);
    else if (state.shown.url && event.target.tagName !== "INPUT" && /^https?:\/\/\S+$/.test(text)) chooseUrl(state.shown, text);
    else return;
    event.preventDefault();
  });
}

const load = async (path) => (await fetch(path)).json();

listen();
update();
const [examples, server] = await Promise.all([load("/ui/examples/examples.json"), load("/ui/server")]);
state.examples = examples;
know(server);
update();
