// How certain an answer is: sure, likely or uncertain, in words, in a colour and as a number.

const SURE = 0.9; // probability of the answer; the models' probabilities are calibrated

export const WORDS = {
  sure: "Nothing else comes near.",
  likely: "It may still be wrong.",
  uncertain: "Answers like this are often wrong: do not rely on it.",
};

/**
 * @param {object} report what the server answered
 * @returns {{level: "sure"|"likely"|"uncertain", share: number}} share is the confidence in the answer, 0 to 1
 */
export function certainty({ verdict, shares, threshold, uncertain, problems }) {
  const probability = shares.find(({ name }) => name === verdict)?.probability ?? 0;
  const share = threshold === null ? probability : beyond(shares, threshold);
  return { level: levelOf(share, uncertain, problems), share };
}

/** How certain an answer is, by its confidence and what the server says of it: by probability, or around a threshold. */
export function levelOf(confidence, uncertain, problems) {
  if (uncertain) return "uncertain";
  return confidence >= SURE && !problems.length ? "sure" : "likely";
}

/** Confidence in an answer by threshold: 0.5 at the threshold and 1 at both ends, as the route states it. */
function beyond(shares, threshold) {
  const score = scoreOf(shares);
  return 0.5 + (0.5 * Math.abs(score - threshold)) / (score > threshold ? 1 - threshold : threshold);
}

/** The score that a threshold is for. */
export const scoreOf = (shares) => shares.find(({ name }) => name === "AI_GENERATED").probability;

export const percent = (share) => `${(100 * share).toFixed(1)} %`;
