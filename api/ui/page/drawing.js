// Pictures of sounds and faces. Positions are attributes of SVG: the page's policy allows no inline styles.

import { html, svg } from "./lit-html.js";

// From quiet to loud; in the dark the other way round.
const COLOURS = [[247, 249, 252], [200, 218, 240], [120, 165, 220], [45, 100, 175], [18, 45, 100], [8, 18, 48]];

/** A mel spectrogram: set `.spectrogram` to the part of a report. */
class MelPicture extends HTMLElement {
  set spectrogram({ columns, bands, levels }) {
    const bytes = atob(levels);
    const colours = matchMedia("(prefers-color-scheme: dark)").matches ? COLOURS.toReversed() : COLOURS;
    const canvas = Object.assign(document.createElement("canvas"), { width: columns, height: bands });
    const image = new ImageData(columns, bands);
    for (let band = 0; band < bands; band++) {
      for (let column = 0; column < columns; column++) {
        const colour = mix(colours, bytes.charCodeAt(band * columns + column) / 255);
        image.data.set([...colour, 255], 4 * ((bands - 1 - band) * columns + column));
      }
    }
    canvas.getContext("2d").putImageData(image, 0, 0);
    this.replaceChildren(canvas);
  }
}
customElements.define("mel-picture", MelPicture);

function mix(colours, share) {
  const place = share * (colours.length - 1);
  const below = Math.min(Math.floor(place), colours.length - 2);
  return colours[below].map((value, index) => value + (place - below) * (colours[below + 1][index] - value));
}

/** The outline of a recording, as high as its loudest sample: the lowest and the highest of each piece, per cent. */
export function waveform(outline) {
  const peak = outline.flat().reduce((most, value) => Math.max(most, Math.abs(value)), 2);
  const upper = outline.map(([, high], index) => `${index},${-high}`);
  const lower = outline.map(([low], index) => `${index},${-low}`).reverse();
  const points = [...upper, ...lower].join(" ");
  return html`<svg class="waveform" viewBox="0 ${-peak} ${outline.length} ${2 * peak}" preserveAspectRatio="none" role="img"
      aria-label="Waveform"><polygon points=${points}></polygon></svg>`;
}

/** One class of the windows of a long recording: the more probable, the stronger its colour. */
export function lane(windows, name, words) {
  const end = windows.at(-1).end_s;
  const cells = windows.map(({ start_s, end_s, shares }) => {
    const share = shares.find((item) => item.name === name).probability;
    return svg`<rect x=${start_s} y="0" width=${end_s - start_s} height="1" fill-opacity=${share.toFixed(3)}>
      <title>${start_s.toFixed(1)} to ${end_s.toFixed(1)} s: ${words} ${(100 * share).toFixed(1)} %</title></rect>`;
  });
  return html`<svg class="lane" viewBox="0 0 ${end} 1" preserveAspectRatio="none" role="img"
      aria-label=${`${words} over time`}>${cells}</svg>`;
}

const STEPS_S = [0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 1800, 3600];

/** Round times below the pictures of a sound, six at most. */
export function timeAxis(duration) {
  const step = STEPS_S.find((size) => duration / size <= 6) ?? duration;
  const times = Array.from({ length: Math.floor(duration / step) + 1 }, (_, index) => index * step);
  const words = (time) => (step < 60 ? `${time} s` : `${time / 60} min`);
  const labels = times.map((time) => {
    const place = (100 * time) / duration;
    const anchor = place < 4 ? "start" : place > 96 ? "end" : "middle"; // none is cut off at the sides
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
