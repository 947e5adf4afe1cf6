// One question to the server: the way there and the way back, with progress on both.

const GONE = "The server cannot be reached, or it closed the connection before it had an answer.";

/**
 * Asks a question; an error of the server is thrown in its own words.
 * @param {string} path
 * @param {Blob|string} body
 * @param {Object<string, string>} headers
 * @param {(what: string, share: number|null) => void} onProgress share is 0 to 1, or null where it is not known
 * @returns {Promise<object>} the report
 */
export function ask(path, body, headers, onProgress) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest(); // fetch() cannot say how much has been sent
    request.open("POST", path);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = (event) => onProgress("Sending", event.loaded / event.total);
    request.upload.onload = () => onProgress("Working on it", null);
    request.onprogress = () => {
      const { progress } = lastOf(request.responseText) ?? {};
      if (progress !== undefined) onProgress("Going through the windows", progress);
    };
    request.onload = () => {
      const { report, error, message } = lastOf(request.responseText) ?? {};
      if (report) resolve(report);
      else reject(new Error(error?.message ?? message ?? GONE));
    };
    request.onerror = () => reject(new Error(GONE));
    request.send(body);
  });
}

/** The last whole line of an answer; JSON lines and plain JSON look alike here. */
function lastOf(text) {
  const lines = text.trimEnd().split("\n");
  for (const line of lines.reverse()) {
    try {
      return JSON.parse(line);
    } catch {
      // not all of it has arrived
    }
  }
  return undefined;
}
