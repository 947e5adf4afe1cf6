// Microphone and camera.

export const LONGEST_S = 30; // what the AI voice models listen to
const CONTAINERS = ["audio/webm", "audio/ogg", "audio/mp4"];
const STREAMED = /^audio\/(webm|ogg)/; // which browsers fill with Opus
const TICK_MS = 100;
const PART_MS = 250;
const QUIETEST_DB = -60; // where the level meter begins

async function open(what, name) {
  if (!navigator.mediaDevices) throw new Error("This browser records on https or localhost only: choose a file instead.");
  return navigator.mediaDevices.getUserMedia(what).catch((error) => {
    throw new Error(`No ${name}: ${error.message}.`);
  });
}

const end = (stream) => stream.getTracks().forEach((track) => track.stop());

/**
 * Opens the microphone. A recording reads `stream`; so may whatever else listens.
 * @returns {Promise<{stream: MediaStream, level: () => number, close: () => void}>} level is 0 (quiet) to 1 (full scale)
 */
export async function microphone() {
  const stream = await open({ audio: true }, "microphone");
  const context = new AudioContext();
  const analyser = context.createAnalyser();
  context.createMediaStreamSource(stream).connect(analyser);
  const samples = new Float32Array(analyser.fftSize);
  return {
    stream,
    level() {
      analyser.getFloatTimeDomainData(samples);
      const power = samples.reduce((sum, sample) => sum + sample * sample, 0) / samples.length;
      return Math.max(0, 1 - (10 * Math.log10(power + 1e-12)) / QUIETEST_DB);
    },
    close() {
      end(stream);
      context.close();
    },
  };
}

/**
 * Records an open microphone, and closes it at the end.
 * @param {Awaited<ReturnType<typeof microphone>>} source
 * @param {(seconds: number, level: number) => void} onTick called ten times a second
 * @param {(part: Blob) => void} onPart called with what is new four times a second, where it is Opus in WebM or Ogg
 * @returns {{stop: () => void, cancel: () => void, finished: Promise<Blob|null>}} finished is null where it was cancelled or is empty
 */
export function record(source, onTick, onPart) {
  const mimeType = CONTAINERS.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(source.stream, mimeType ? { mimeType } : {});
  const parts = [];
  const started = performance.now();
  let isKept = true;
  const stop = () => recorder.state === "inactive" || recorder.stop();
  const clock = setInterval(() => {
    const seconds = (performance.now() - started) / 1000;
    onTick(seconds, source.level());
    if (seconds >= LONGEST_S) stop();
  }, TICK_MS);
  recorder.ondataavailable = ({ data }) => {
    parts.push(data);
    if (STREAMED.test(recorder.mimeType) && recorder.state === "recording") onPart(data);
  };
  const finished = new Promise((resolve) => {
    recorder.onstop = () => {
      clearInterval(clock);
      source.close();
      const recording = new Blob(parts, { type: recorder.mimeType });
      resolve(isKept && recording.size ? recording : null); // it may end before there is any sound
    };
  });
  recorder.start(PART_MS);
  return {
    stop,
    cancel() {
      isKept = false;
      stop();
    },
    finished,
  };
}

/**
 * Opens the camera.
 * @returns {Promise<{stream: MediaStream, close: () => void}>}
 */
export async function camera() {
  const stream = await open({ video: { facingMode: "user" } }, "camera");
  return { stream, close: () => end(stream) };
}

/** The next frame that a video shows, as a JPEG: the first may be a while in coming. */
export async function snapshot(video) {
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
