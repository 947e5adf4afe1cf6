// What to do about an error or about a recording that is hard to judge.

const FILE = "file";
const URL_FIELD = "url";
const KEY = "key";

// Words of the server's errors, which field is wrong, and what helps: as in the README's troubleshooting.
const ERRORS = [
  [/API key|this key/, KEY, "Give one of the server’s keys, from its setting API_KEY or its store of keys (KEY_STORE). Blanks around it do not matter."],
  [/not a public address/, URL_FIELD, "The server downloads from public addresses only. Download the file yourself and choose it here."],
  [/host name could not be resolved/, URL_FIELD, "There is no such name, or the server has no network. Check the address for a slip."],
  [/URL/, URL_FIELD, "Open the address in a browser: it must lead to the audio itself, not to a page about it."],
  [/no face/, FILE, "The face is too small, turned away or cut off. Choose a picture that shows one face from the front."],
  [/no speech/, FILE, "There is less than half a second of speech. What is sung, or far behind noise or music, may not be found: record closer to the mouth."],
  [/not audio in a known format/, FILE, "Perhaps it is a web page that was saved as .mp3. Play the file, and export it as WAV, FLAC or MP3."],
  [/not a picture of a known kind/, FILE, "Open the picture and save it as JPEG or PNG."],
  [/(larger|longer|more) than/, FILE, "Send a shorter or smaller piece, or raise the server’s limit (MAX_BODY_MB, MAX_AUDIO_SECONDS)."],
  [/shorter than/, FILE, "Send a longer recording: ten seconds do well."],
  [/is empty/, FILE, "The file has no content. Choose another one."],
  [/quota/, null, "The quota of this key is used up. Wait, or ask those who run the server for a larger one."],
  [/waiting|try again later/, null, "The server is busy. Try again in a few seconds."],
  [/not available|starting/, null, "The model is being started. Try again in a few seconds; /readyz says when it is ready."],
  [/cannot be kept/, null, "The server’s disk is full or cannot be written: tell those who run it."],
  [/no answer within/, null, "The server took too long. Try again, or send a shorter piece."],
  [/cannot be reached/, null, "Check that the server runs and that this machine has a network, then try again."],
  [/microphone|camera/i, null, "Allow it in the browser’s settings for this page, or choose a file."],
];

/**
 * @param {string} message an error in the words of the server or of this page
 * @returns {{message: string, advice: string, field: "file"|"url"|"key"|null}}
 */
export function explained(message) {
  const [, field, advice] = ERRORS.find(([words]) => words.test(message)) ?? [null, null, ""];
  return { message, advice: advice ?? "", field: field ?? null };
}

const PROBLEMS = {
  too_short: "The recording is short: ten seconds or more are better.",
  too_quiet: "It is very quiet: move the microphone closer, or raise its level.",
  too_noisy: "There is much noise in it: record in a quiet room.",
  no_heart_beat: "No heart beat was found in it: hold the microphone to the chest, in a quiet room.",
  clipped: "It is clipped: lower the level, or hold the microphone further away.",
  several_faces: "There are several faces: the largest one was looked at.",
  turned: "The face is turned away: a picture from the front is easier to judge.",
};

/** Advice about a problem that the server names; its own name in words where the page does not know it. */
export const problem = (name) => PROBLEMS[name] ?? `${name.replaceAll("_", " ")}.`;
