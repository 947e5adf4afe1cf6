// What the page knows: inputs and answers by question, the session's history, and what the server says of itself.

import { PANELS, addPanel } from "./panels.js";

const LONGEST_HISTORY = 40;

const named = () => PANELS.find(({ id }) => `#${id}` === location.hash);
const empty = () => ({ inputs: [], results: [], selected: 0, url: "", error: null });

export const state = {
  shown: named() ?? PANELS[0],
  examples: [],
  history: [],
  compared: new Set(),
  dragging: false,
  server: { keyed: [], further: [], has_keys: true, max_body_bytes: Infinity, takes: { audio: {}, picture: {} } },
  key: "", // of the caller; it is kept nowhere else
  panels: Object.fromEntries(PANELS.map(({ id }) => [id, empty()])),
};

/** Takes what the server says of itself, and the questions that it has beside the five. */
export function know(server) {
  state.server = { ...state.server, ...server }; // a server of an earlier version says less
  for (const question of state.server.further) {
    addPanel(question);
    state.examples.push(...question.examples);
    state.panels[question.id] = empty();
  }
  state.shown = named() ?? state.shown;
}

export const of = (panel) => state.panels[panel.id];

let render = () => {};

/** Draws the page anew; `playground.js` says how. */
export const update = () => render();

/** @param {() => void} draw draws the whole page from the state */
export function drawBy(draw) {
  render = draw;
}

/** Whether a question is answered with a key only. */
export const isKeyed = (panel) => state.server.keyed.includes(panel.id);

/** Whether a question is answered at all: not where it needs a key and the server has none. */
export const isOpen = (panel) => !isKeyed(panel) || state.server.has_keys;

/**
 * Replaces what is to be asked about: files, recordings and pictures, or one address.
 * @param {object} panel one of PANELS
 * @param {{blob?: Blob, url?: string, name: string, truth?: string}[]} inputs
 */
export function replaceInputs(panel, inputs) {
  const mine = of(panel);
  const kept = new Set(state.history.map(({ input }) => input.address));
  for (const input of inputs) if (input.blob) input.address ??= URL.createObjectURL(input.blob);
  for (const { address } of inputs) kept.add(address);
  for (const { address } of mine.inputs) if (address && !kept.has(address)) URL.revokeObjectURL(address);
  // The field of the address shows what is chosen, and nothing where that is no address.
  Object.assign(mine, { inputs, url: inputs[0]?.url ?? "", results: [], selected: 0, error: null });
  update();
}

/** Keeps an answer in the history; the oldest one goes. */
export function remember(result) {
  state.history.unshift(result);
  for (const gone of state.history.splice(LONGEST_HISTORY)) {
    state.compared.delete(gone);
    const inUse = [...state.history, ...Object.values(state.panels).flatMap(({ inputs }) => inputs.map((input) => ({ input })))];
    if (!inUse.some(({ input }) => input.address === gone.input.address)) URL.revokeObjectURL(gone.input.address);
  }
}
