// The request that was just answered, for use elsewhere: as curl, Python and TypeScript, and its answer as JSON.

import { certainty } from "./certainty.js";
import { isKeyed } from "./state.js";

/** A name that a file has, or may be given. */
export const fileName = ({ file, name }) => (file ?? name).replaceAll("/", "_");

const shell = (text) => `'${text.replaceAll("'", "'\\''")}'`;
const quoted = (text) => JSON.stringify(text);
const address = ({ panel }) => `${location.origin}/v1/classify/${panel.id}`;
const items = ({ url }) => JSON.stringify({ items: [{ url }] });

/** Gets an example first: all others have the file. */
const example = ({ isExample, file }) => (isExample ? `curl -sSfO ${shell(`${location.origin}/ui/examples/${file}`)}\n` : "");

export function curl(result) {
  const { panel, input } = result;
  const file = fileName(input).replace(/[\\"]/g, "\\$&");
  const body = input.url ? `-H 'content-type: application/json' -d ${shell(items(input))}` : `-F ${shell(`file=@"${file}"`)}`;
  return `${example(input)}curl ${isKeyed(panel) ? '-H "x-api-key: $API_KEY" ' : ""}${body} ${shell(address(result))}`;
}

export function python(result) {
  const { panel, input } = result;
  const imports = [...(isKeyed(panel) ? ["import os"] : []), ...(input.url ? [] : ["from pathlib import Path"])];
  const body = input.url ? `json=${items(input)}` : `files={"file": Path(${quoted(fileName(input))}).open("rb")}`;
  const headers = isKeyed(panel) ? ', headers={"x-api-key": os.environ["API_KEY"]}' : "";
  return [...imports, ...(imports.length ? [""] : []), "import httpx  # pip install httpx", "",
    `answer = httpx.post(${quoted(address(result))}, ${body}${headers}, timeout=60)`, "answer.raise_for_status()", "print(answer.json())", ""].join("\n");
}

export function typescript(result) {
  const { panel, input } = result;
  const file = quoted(fileName(input));
  const headers = input.url ? ['"content-type": "application/json"'] : [];
  if (isKeyed(panel)) headers.push('"x-api-key": process.env.API_KEY ?? ""');
  const form = ['import { readFile } from "node:fs/promises";', "", "const form = new FormData();",
    `form.append("file", new Blob([await readFile(${file})]), ${file});`];
  return [...(input.url ? [] : form), `const answer = await fetch(${quoted(address(result))}, {`, '  method: "POST",',
    ...(headers.length ? [`  headers: { ${headers.join(", ")} },`] : []),
    `  body: ${input.url ? `JSON.stringify(${items(input)})` : "form"},`, "});",
    "if (!answer.ok) throw new Error(await answer.text());", "console.log(JSON.stringify(await answer.json()));", ""].join("\n");
}

const shares = (items) => Object.fromEntries(items.map(({ name, probability }) => [name, probability]));

/** What was answered, without what only a page draws. */
export function json({ panel, input, time, report }) {
  const { level, share } = certainty(report);
  const answer = {
    question: panel.id,
    file: input.url ?? input.name,
    asked: time.toISOString(),
    prediction: report.verdict,
    confidence: share,
    certainty: level,
    probabilities: shares(report.shares),
    problems: report.problems,
    models: report.models.map(({ tag }) => tag),
  };
  if (report.sound) answer.duration_s = report.sound.duration_s;
  if (report.windows.length) answer.segments = report.windows.map(({ start_s, end_s, shares: own }) => ({ start_s, end_s, probabilities: shares(own) }));
  if (report.face) answer.face = (({ left, top, width, height, score }) => ({ left, top, width, height, score }))(report.face);
  if (report.threshold !== null) Object.assign(answer, { threshold: report.threshold, votes: report.votes, explanation: report.explanation });
  if (report.features.length) answer.features = Object.fromEntries(report.features.map(({ name, value }) => [name, value]));
  return JSON.stringify(answer, null, 2);
}
