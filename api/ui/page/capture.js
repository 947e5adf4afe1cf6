// Microphone and camera.

const LONGEST_S = 30; // what the AI voice models listen to
const CONTAINERS = ["audio/webm", "audio/ogg", "audio/mp4"];

async function open(what, name) {
  if (!navigator.mediaDevices) throw new Error("This browser records on https or localhost only: choose a file instead.");
  return navigator.mediaDevices.getUserMedia(what).catch((error) => {
    throw new Error(`No ${name}: ${error.message}. Choose a file instead.`);
  });
}

const close = (stream) => stream.getTracks().forEach((track) => track.stop());

/**
 * Starts to record the microphone.
 * @param {(seconds: number) => void} onSecond called every second with the length so far
 * @returns {Promise<{stop: () => void, finished: Promise<Blob>}>}
 */
export async function record(onSecond) {
  const stream = await open({ audio: true }, "microphone");
  const mimeType = CONTAINERS.find((type) => MediaRecorder.isTypeSupported(type));
  const recorder = new MediaRecorder(stream, mimeType ? { mimeType } : {});
  const parts = [];
  let seconds = 0;
  const clock = setInterval(() => {
    onSecond(++seconds);
    if (seconds >= LONGEST_S) recorder.stop();
  }, 1000);
  recorder.ondataavailable = (event) => parts.push(event.data);
  const finished = new Promise((resolve) => {
    recorder.onstop = () => {
      clearInterval(clock);
      close(stream);
      resolve(new Blob(parts, { type: recorder.mimeType }));
    };
  });
  recorder.start();
  return { stop: () => recorder.state === "inactive" || recorder.stop(), finished };
}

/**
 * Opens the camera.
 * @returns {Promise<{stream: MediaStream, close: () => void}>}
 */
export async function camera() {
  const stream = await open({ video: { facingMode: "user" } }, "camera");
  return { stream, close: () => close(stream) };
}

/** The next frame that a video shows, as a JPEG: the first may be a while in coming. */
export async function snapshot(video) {
  await new Promise((resolve) => video.requestVideoFrameCallback(resolve));
  const canvas = Object.assign(document.createElement("canvas"), { width: video.videoWidth, height: video.videoHeight });
  canvas.getContext("2d").drawImage(video, 0, 0);
  return new Promise((resolve) => canvas.toBlob(resolve, "image/jpeg", 0.92));
}
