// All five questions with the client that `make clients` generates.
// node clients/typescript/dist/example.js http://127.0.0.1:3000 secret

import { readFile } from "node:fs/promises";
import { createClient } from "./generated/client/index.js";
import { analyzeAudio, classify, detectGender, gender, uploadAudio, voiceDetection } from "./generated/index.js";

const [baseUrl = "http://127.0.0.1:3000", key = ""] = process.argv.slice(2);
const examples = new URL("../../../media/assets/examples/", import.meta.url);
const client = createClient({ baseUrl });

async function file(name: string): Promise<File> {
  return new File([await readFile(new URL(name, examples))], name);
}

const voice = await detectGender({ client, throwOnError: true, body: { audio: await file("voice.flac") } });
console.log("voice gender:", voice.data[0]?.label, voice.data[0]?.score);

const face = await gender({ client, throwOnError: true, body: { image: await file("face.jpg") } });
console.log("face gender:", face.data.predictions.class, face.data.predictions.probability);

const heart = await uploadAudio({ client, throwOnError: true, body: await file("heart.pcm") });
console.log("heart sound:", heart.data);

const scene = await analyzeAudio({
  client,
  throwOnError: true,
  body: { audio_url: "http://examples.invalid/music.flac" },
});
console.log("audio scene:", scene.data.data.classification, scene.data.data.duration);

const audioBase64 = (await readFile(new URL("voice.ogg", examples))).toString("base64");
const detection = await voiceDetection({
  client,
  throwOnError: true,
  auth: key,
  body: { language: "English", audioFormat: "ogg", audioBase64 },
});
console.log("AI voice:", detection.data.classification, detection.data.explanation);

const several = await classify({
  client,
  throwOnError: true,
  path: { question: "audio-scene" },
  body: { items: [{ url: "http://examples.invalid/music.flac" }, { base64: audioBase64, name: "voice.ogg" }] },
});
console.log("several:", several.data.items.map((item) => ("prediction" in item ? item.prediction : item.message)).join());

// Without throwOnError an error is a value, typed as the document describes it.
const refused = await voiceDetection({ client, auth: "wrong", body: { language: "English", audioFormat: "ogg", audioBase64 } });
console.log("with a wrong key:", refused.response?.status, refused.error?.message);
