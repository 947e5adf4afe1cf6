// A recording as the model reads it: waveform, spectrogram and the answers of its windows over one time axis, to click into.

import { percent } from "./certainty.js";
import { decibelAxis, hertz, hertzAxis, lane, timeAxis, waveform } from "./drawing.js";
import { html, nothing } from "./lit-html.js";
import { spoken } from "./panels.js";
import { update } from "./state.js";

const CELLS = 100; // of a lane within the width of the page: narrower ones are joined, and zooming takes them apart
const MOST_ZOOM = 32;
const SECONDS_IN_SIGHT = 4; // no closer

const seconds = (value) => `${value < 100 ? value.toFixed(1) : Math.round(value)} s`;

export function sound(panel, result) {
  const { report: { sound, windows }, input } = result;
  const zoom = result.zoom ?? 1;
  const names = (windows[0]?.shares ?? []).map(({ name }) => name);
  const source = `${sound.container}, ${hertz(sound.sample_rate)}, ${sound.channels === 1 ? "mono" : `${sound.channels} channels`}`;
  return html`<section class="sound"><h3>What the model received</h3>
    <p class="soft">${seconds(sound.duration_s)} at ${hertz(sound.model_rate)}, mono (source: ${source}).
      ${windows.length ? `${windows.length} windows, each answered by itself: the stronger the colour, the more probable.` : ""}</p>
    ${input.address ? html`<audio controls src=${input.address} aria-label=${input.name} @timeupdate=${(event) => follow(event, sound)}></audio>` : nothing}
    <div class="plots">
      <div class="axes" aria-hidden="true">${decibelAxis(sound.outline)}${hertzAxis(sound.spectrogram)}
        ${names.map((name) => html`<span class="axis">${spoken(panel, name)}</span>`)}
        <span class="axis unit">Time</span></div>
      <div class="window" tabindex="0" role="region" aria-label="Pictures of the recording">
        <div class="strip zoom-${zoom} ${input.address ? "playable" : ""}" @pointermove=${(event) => read(event, panel, result)}
          @pointerleave=${unread} @click=${(event) => play(event, sound)}>
          ${waveform(sound.outline)}
          <mel-picture role="img" aria-label="Mel spectrogram" .spectrogram=${sound.spectrogram}></mel-picture>
          ${names.map((name) => lane(joined(windows, CELLS * zoom), name, spoken(panel, name)))}
          ${timeAxis(sound.duration_s, zoom)}
        </div></div>
    </div>
    <div class="below"><p class="readout soft"></p><p class="legend soft">−${sound.spectrogram.range_db} dB <i></i> loudest</p></div>
    ${zooms(result, zoom)}</section>`;
}

/** Windows in groups, so that there are no more cells than can be told apart; a group has the mean of its windows. */
function joined(windows, cells) {
  const size = Math.ceil(windows.length / cells);
  if (size === 1) return windows;
  return Array.from({ length: Math.ceil(windows.length / size) }, (_, index) => {
    const group = windows.slice(index * size, (index + 1) * size);
    const shares = group[0].shares.map(({ name }, place) => (
      { name, probability: group.reduce((sum, one) => sum + one.shares[place].probability, 0) / group.length }));
    return { start_s: group[0].start_s, end_s: group.at(-1).end_s, shares };
  });
}

function zooms(result, zoom) {
  const duration = result.report.sound.duration_s;
  const most = Math.min(MOST_ZOOM, 2 ** Math.floor(Math.log2(duration / SECONDS_IN_SIGHT)));
  if (most < 2) return nothing;
  const to = (value) => ({ currentTarget }) => {
    const view = currentTarget.closest(".sound").querySelector(".window");
    const middle = (view.scrollLeft + view.clientWidth / 2) / view.scrollWidth; // stays where it is
    result.zoom = value;
    update();
    view.scrollLeft = middle * view.scrollWidth - view.clientWidth / 2;
  };
  return html`<div class="zooms" role="group" aria-label="Zoom">
    <button type="button" class="quiet" aria-label="Zoom out" @click=${to(Math.max(1, zoom / 2))}>−</button>
    <button type="button" class="quiet" aria-label="Zoom in" @click=${to(Math.min(most, zoom * 2))}>+</button>
    <button type="button" class="quiet" @click=${to(1)}>Whole</button>
    <span class="soft">${seconds(duration / zoom)} of ${seconds(duration)} in sight</span></div>`;
}

/** Where a pointer is in the pictures, 0 to 1 from the left and from the top of the one that it is in. */
function place(event) {
  const strip = event.currentTarget.getBoundingClientRect();
  const picture = event.target.closest(".strip > *");
  const box = picture?.getBoundingClientRect();
  return { picture, across: (event.clientX - strip.left) / strip.width, down: box ? (event.clientY - box.top) / box.height : 0 };
}

/** Says in numbers what the pointer is on. */
function read(event, panel, { report: { sound, windows } }) {
  const { picture, across, down } = place(event);
  if (across < 0 || across > 1) return;
  const at = across * sound.duration_s;
  const strip = event.currentTarget;
  strip.style.setProperty("--pointed", across);
  let words = `${at.toFixed(2)} s`;
  if (picture?.matches(".waveform")) {
    const [low, high] = sound.outline[Math.min(sound.outline.length - 1, Math.floor(across * sound.outline.length))];
    words += `: peak ${decibels(Math.max(-low, high) / 100)}`;
  } else if (picture?.matches("mel-picture")) {
    const { frequency, level } = picture.at(across, down);
    words += `, ${Math.round(frequency)} Hz: ${level.toFixed(0)} dB below the loudest`.replace(": -", ": ");
  } else if (picture?.matches(".lane")) {
    const window = windows.find(({ end_s }) => at <= end_s) ?? windows.at(-1);
    const { probability } = window.shares.find(({ name }) => name === picture.dataset.name);
    words = `${window.start_s.toFixed(1)} to ${window.end_s.toFixed(1)} s: ${spoken(panel, picture.dataset.name)} ${percent(probability)}`;
  }
  strip.closest(".sound").querySelector(".readout").textContent = words;
}

const decibels = (amplitude) => (amplitude > 0 ? `${(20 * Math.log10(amplitude)).toFixed(1)} dB` : "below −40 dB");

function unread({ currentTarget }) {
  currentTarget.style.removeProperty("--pointed");
  currentTarget.closest(".sound").querySelector(".readout").textContent = "";
}

/** Plays from where a picture was clicked. */
function play(event, sound) {
  const player = event.currentTarget.closest(".sound").querySelector("audio");
  if (!player) return;
  player.currentTime = place(event).across * sound.duration_s;
  player.play().catch(() => {}); // a browser without the codec; its own controls say so
}

/** A line runs over the pictures of a sound while it is played. */
function follow({ target }, sound) {
  const strip = target.closest(".sound").querySelector(".strip");
  strip.style.setProperty("--played", Math.min(1, target.currentTime / sound.duration_s));
}
