// A recording under way, sent as it is made: each second the server says what it makes of what came so far.

const UNHEARD = "There is no answer while you speak; ask when you have stopped.";
// A page cannot give a WebSocket headers, so that its key goes as a subprotocol, which takes few characters.
const asToken = (key) => encodeURIComponent(key).replace(/[()]/g, (sign) => `%${sign.charCodeAt(0).toString(16)}`);

/**
 * Opens a stream of Opus in WebM or Ogg. Where it fails, the recording goes on without it.
 * @param {string} question
 * @param {string} key of the caller; empty where none is needed
 * @param {(message: object) => void} onMessage an answer, or an error with its words
 * @returns {{send: (part: Blob) => void, end: () => void}}
 */
export function openStream(question, key, onMessage) {
  const address = new URL(`/v1/stream/${question}?format=opus`, location.href);
  address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
  const socket = new WebSocket(address, key ? ["media-stream", `key.${asToken(key)}`] : []);
  const waiting = [];
  let isOver = false;
  const tell = (message) => isOver || onMessage(message);
  socket.onopen = () => waiting.splice(0).forEach((part) => socket.send(part));
  socket.onmessage = ({ data }) => tell(JSON.parse(data));
  socket.onclose = ({ reason }) => tell({ status: "error", message: reason || UNHEARD });
  return {
    send(part) {
      if (socket.readyState === WebSocket.CONNECTING) waiting.push(part);
      else if (socket.readyState === WebSocket.OPEN) socket.send(part);
    },
    end() {
      isOver = true;
      socket.close();
    },
  };
}
