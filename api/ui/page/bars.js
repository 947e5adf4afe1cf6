// One labelled bar.

import { percent } from "./certainty.js";
import { html, nothing, svg } from "./lit-html.js";

/**
 * A share as a bar and a number.
 * @param {string} name
 * @param {number} share 0 to 1
 * @param {{level?: string, mark?: number|null}} options the colour of an answer, and where a threshold is drawn (0 to 1)
 */
export const bar = (name, share, { level = "", mark = null } = {}) => html`<li class=${level}><label><span>${name}</span>
    <span class="gauge"><meter min="0" max="1" value=${share}>${percent(share)}</meter>
      ${mark === null ? nothing : html`<svg class="mark" viewBox="0 0 100 1" preserveAspectRatio="none" role="img"
        aria-label="Threshold at ${percent(mark)}">${svg`<line x1=${100 * mark} x2=${100 * mark} y1="0" y2="1"></line>`}</svg>`}</span>
    <span>${percent(share)}</span></label></li>`;
