// Pictures of sounds and faces. Positions are attributes of SVG: the page's policy allows no inline styles.

import { html, svg } from "./lit-html.js";

// From quiet to loud; in the dark the other way round.
const COLOURS = [[247, 249, 252], [200, 218, 240], [120, 165, 220], [45, 100, 175], [18, 45, 100], [8, 18, 48]];

// Slaney's mel scale (see `dsp/mel.py`): linear to 1 kHz, then logarithmic.
const BREAK_HZ = 1000;
const BREAK_MEL = 15;
const LOG_STEP = Math.log(6.4) / 27;
const mel = (value) => (value < BREAK_HZ ? (value * BREAK_MEL) / BREAK_HZ : BREAK_MEL + Math.log(value / BREAK_HZ) / LOG_STEP);
const hertzOf = (value) => (value < BREAK_MEL ? (value * BREAK_HZ) / BREAK_MEL : BREAK_HZ * Math.exp(LOG_STEP * (value - BREAK_MEL)));

export const hertz = (value) => (value >= 1000 ? `${Number((value / 1000).toFixed(2))} kHz` : `${value} Hz`);

/** A mel spectrogram: set `.spectrogram` to the part of a report. */
class MelPicture extends HTMLElement {
  set spectrogram(picture) {
    if (picture === this.picture) return;
    const { columns, bands, levels } = picture;
    this.picture = picture;
    this.bytes = Uint8Array.from(atob(levels), (character) => character.charCodeAt(0));
    const colours = matchMedia("(prefers-color-scheme: dark)").matches ? COLOURS.toReversed() : COLOURS;
    const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: bands });
    const image = new ImageData(columns, bands);
    for (let band = 0; band < bands; band++) {
      for (let column = 0; column < columns; column++) {
        const colour = mix(colours, this.bytes[band * columns + column] / 255);
        image.data.set([...colour, 255], 4 * ((bands - 1 - band) * columns + column));
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.replaceChildren(canvas);
  }

  /** What is at a place, 0 to 1 from the left and from the top: frequency (Hz) and level (dB, 0 is the loudest). */
  at(across, down) {
    const { columns, bands, low_hz, top_hz, range_db } = this.picture;
    const column = Math.min(columns - 1, Math.floor(across * columns));
    const band = Math.max(0, Math.min(bands - 1, bands - 1 - Math.floor(down * bands)));
    const frequency = hertzOf(mel(low_hz) + (1 - down) * (mel(top_hz) - mel(low_hz)));
    return { frequency, level: range_db * (this.bytes[band * columns + column] / 255 - 1) };
  }
}
customElements.define("mel-picture", MelPicture);

function mix(colours, share) {
  const place = share * (colours.length - 1);
  const below = Math.min(Math.floor(place), colours.length - 2);
  return colours[below].map((value, index) => value + (place - below) * (colours[below + 1][index] - value));
}

const peakOf = (outline) => outline.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 2);

/** The outline of a recording, as high as its loudest sample: the lowest and the highest of each piece, per cent. */
export function waveform(outline) {
  const peak = peakOf(outline);
  const upper = outline.map(([, high], index) => `${index},${-high}`);
  const lower = outline.map(([low], index) => `${index},${-low}`).reverse();
  const points = [...upper, ...lower].join(" ");
  return html`<svg class="waveform" viewBox="0 ${-peak} ${outline.length} ${2 * peak}" preserveAspectRatio="none" role="img"
      aria-label="Waveform"><polygon points=${points}></polygon></svg>`;
}

const label = (share, text) => svg`<text x="100%" y="${(100 * share).toFixed(1)}%" text-anchor="end"
    dy=${share < 0.05 ? "0.9em" : share > 0.95 ? "-0.2em" : "0.35em"}>${text}</text>`;

/** Levels of a waveform: its loudest sample, half of that, and none. */
export function decibelAxis(outline) {
  const top = 20 * Math.log10(peakOf(outline) / 100);
  const words = (level) => `${level.toFixed(0).replace("-", "−")} dB`;
  return html`<svg class="axis decibels">${label(0, words(top))}${label(0.25, words(top - 6))}${label(0.5, "−∞ dB")}</svg>`;
}

const ROUND_HZ = [50, 100, 200, 500, 1000, 2000, 4000, 8000, 16_000];

/** Round frequencies beside a mel spectrogram. */
export function hertzAxis({ low_hz, top_hz }) {
  const place = (value) => 1 - (mel(value) - mel(low_hz)) / (mel(top_hz) - mel(low_hz));
  const shown = [];
  for (const value of [...ROUND_HZ.filter((round) => round >= low_hz && round < top_hz), top_hz].reverse()) {
    if (!shown.length || place(value) - place(shown.at(-1)) > 0.13) shown.push(value);
  }
  return html`<svg class="axis frequencies">${shown.map((value) => label(place(value), hertz(value)))}</svg>`;
}

/** One class of the windows of a long recording: the more probable, the stronger its colour. */
export function lane(windows, name, words) {
  const end = windows.at(-1).end_s;
  const cells = windows.map(({ start_s, end_s, shares }) => {
    const share = shares.find((item) => item.name === name).probability;
    return svg`<rect x=${start_s} y="0" width=${end_s - start_s} height="1" fill-opacity=${share.toFixed(3)}></rect>`;
  });
  return html`<svg class="lane" viewBox="0 0 ${end} 1" preserveAspectRatio="none" role="img" data-name=${name}
      aria-label=${`${words} over time`}>${cells}</svg>`;
}

const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** Round times below the pictures of a sound, six at most within the width of the page. */
export function timeAxis(duration, zoom) {
  const step = STEPS_S.find((size) => duration / zoom / size <= 6) ?? duration;
  const times = Array.from({ length: Math.floor(duration / step) + 1 }, (_, index) => index * step);
  const words = (time) => (step < 60 ? `${time} s` : `${time / 60} min`);
  const labels = times.map((time) => {
    const place = (100 * time) / duration;
    const anchor = place * zoom < 4 ? "start" : (100 - place) * zoom < 4 ? "end" : "middle"; // none is cut off at the sides
    return svg`<text x="${place}%" y="14" text-anchor=${anchor}>${words(time)}</text>`;
  });
  return html`<svg class="ticks" aria-hidden="true">${labels}</svg>`;
}

/** The face's box and landmarks, over a picture that fills the same place. */
export function faceMarks({ left, top, width, height, landmarks }) {
  const points = landmarks.map(([x, y]) => `M${x} ${y}h0`).join("");
  return html`<svg viewBox="0 0 1 1" preserveAspectRatio="none" role="img" aria-label="The face that was found">
      <rect x=${left} y=${top} width=${width} height=${height}></rect><path d=${points}></path></svg>`;
}

/** Where a value lies beside a range, which takes the middle half. */
export function range({ value, low, high, place }) {
  const share = high > low ? (value - low) / (high - low) : 0.5;
  const x = Math.min(97, Math.max(3, 25 + 50 * share));
  const dot = place === "not measurable" ? "" : svg`<circle cx=${x} cy="6" r="3.5"></circle>`;
  return html`<svg class="range" viewBox="0 0 100 12" aria-hidden="true">
      <rect class="all" x="0" y="5" width="100" height="2"></rect>
      <rect class="usual" x="25" y="4" width="50" height="4"></rect>${dot}</svg>`;
}
