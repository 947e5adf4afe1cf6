// What a Node.js backend does with an upload that it passes on: `node express_upload.mjs BASE_URL FILE`.

import { createReadStream } from "node:fs";
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { basename } from "node:path";

const require = createRequire(new URL("../../clients/typescript/package.json", import.meta.url));
const axios = require("axios");
const FormDataStream = require("form-data");

const [base, file] = process.argv.slice(2);
const answers = {};

const form = new FormData();
form.append("audio", new Blob([await readFile(file)], { type: "audio/wav" }), basename(file));
const response = await fetch(`${base}/api/detect-gender`, { method: "POST", body: form });
answers.fetch = { status: response.status, body: await response.json() };

const stream = new FormDataStream();
stream.append("audio", createReadStream(file));
const passed = await axios.post(`${base}/api/detect-gender`, stream, { headers: stream.getHeaders() });
answers.axios = { status: passed.status, body: passed.data };

console.log(JSON.stringify(answers));
