// A song from Wavegate to standard output, while it is being made: for pipes, for bots, or as a start of your own.
//
// How to use it (Node 22 or newer; Node 20 with --experimental-websocket; no packages):
//
//   node listen.mjs https://music.example STREAM http://127.0.0.1:8090/ticket mp3 | ffplay -nodisp -
//   node listen.mjs https://music.example STREAM http://127.0.0.1:8090/ticket '{"codec":"pcm","sample_rate":24000}' | aplay …
//
// Tickets come from your own server (ticket_server.py in ../python), a new one for every connection; the key stays
// there. A broken connection is taken up again where it broke: every byte comes once and in order, and at the end they
// are checked against the hash that the gateway tells.
import { createHash } from "node:crypto";

const [server, streamId, ticketUrl, format = "mp3"] = process.argv.slice(2);
if (typeof WebSocket === "undefined") throw new Error("This Node has no WebSocket: take Node 22, or --experimental-websocket.");
const FINAL = [1000, 1002, 1003, 1007, 1008, 1009, 1010], ATTEMPTS = 10, SILENCE = 20_000;
const CODES = { position_lost: 4203, credentials_expired: 4201, quota_exceeded: 4008 };
const heard = { epoch: null, next: 0, rendition: -1, end: 0, frames: 0, reconnects: 0, whole: true, init: "", hash: createHash("sha256") };

function out(payload) {
  if (heard.whole) heard.hash.update(payload);
  process.stdout.write(payload);
}

/** One connection. Settles with {code, slug, after}, or with {done} when the song is over. */
function listen(ticket) {
  return new Promise((settle) => {
    const socket = new WebSocket(`${server.replace(/^http/, "ws").replace(/\/$/, "")}/v1/ws`, "wavegate.v1");
    socket.binaryType = "arraybuffer";
    let asked = false, over = false, silence;
    const end = (how) => {
      if (over) return;  // a close may be an error, which ends it again
      over = true;
      clearTimeout(silence);
      socket.close();
      settle(how);
    };
    const watch = () => { clearTimeout(silence); silence = setTimeout(quiet, SILENCE); };
    const quiet = () => {
      if (asked || socket.readyState !== WebSocket.OPEN) return end({ code: 1006, slug: "no_answer" });
      asked = true;
      socket.send('{"type":"ping"}');
      watch();
    };
    watch();
    socket.onopen = () => socket.send(JSON.stringify({ type: "session.authenticate", ticket }));
    // A close follows, but in Node 20 not where there was no connection.
    socket.onerror = () => { if (socket.readyState !== WebSocket.OPEN) end({ code: 1006, slug: "cannot_be_reached" }); };
    socket.onclose = ({ code, reason }) => {
      const [slug, after] = reason.split(";retry_after_ms=");
      end({ code, slug, after: Number(after ?? 0) });
    };
    socket.onmessage = ({ data }) => {
      if (over) return;
      asked = false;
      watch();
      if (typeof data !== "string") return frame(data, end);
      const message = JSON.parse(data);
      if (message.type === "session.created") {
        const since = heard.epoch === null ? "start" : { epoch: heard.epoch, seq: heard.next };
        socket.send(JSON.stringify({ type: "stream.attach", stream_id: streamId, since, format: format[0] === "{" ? JSON.parse(format) : format }));
      } else if (message.type === "stream.started") {
        if (message.epoch !== heard.epoch) {
          heard.whole = heard.frames === 0 && message.seq === 0;
          [heard.epoch, heard.next] = [message.epoch, message.seq];
        }
        heard.rendition = message.rendition;
      } else if (message.type === "stream.gap") {  // the gateway says so itself: these frames will not come
        heard.whole = false;
        heard.next = Math.max(heard.next, message.to_seq);
      } else if (message.type === "stream.completed") {
        const same = heard.whole ? heard.hash.digest("hex") === message.sha256 : null;
        end({ done: same !== false, slug: `completed, verified ${same}` });
      } else if (message.type === "stream.failed") {
        end({ done: false, slug: `failed, ${message.error.message}` });
      } else if (message.type === "error") {
        const { code, retryable, retry_after_ms: after } = message.error;
        end({ code: CODES[code] ?? (retryable ? 1013 : 1008), slug: code, after: after ?? 0 });
      }
    };
  });
}

function frame(data, end) {
  const view = new DataView(data), payload = new Uint8Array(data, Math.min(24, data.byteLength));
  if (data.byteLength < 24 || view.getUint8(0) !== 1 || view.getUint32(4) !== heard.rendition) return;
  if (view.getUint8(1) === 2) {  // a container's header: it comes with every attachment, and is written once
    if (heard.init !== (heard.init = Buffer.from(payload).toString("latin1"))) out(payload);
    return;
  }
  const seq = view.getUint32(16), until = Number(view.getBigUint64(8)) + view.getUint32(20);
  if (seq < heard.next) return;
  if (seq > heard.next) return end({ code: 4900, slug: "lost_on_the_way" });  // the next connection asks for it again
  heard.next = seq + 1;
  if (until <= heard.end) return;  // another log of the same song
  heard.end = until;
  heard.frames++;
  out(payload);
}

process.stdout.on("error", () => process.exit(0));  // whoever read has left
for (let attempts = 0; ; attempts++, heard.reconnects++) {
  const before = heard.frames;
  const how = await fetch(ticketUrl, { method: "POST", body: JSON.stringify({ stream_id: streamId }) })
    .then((answer) => answer.json())
    .then(({ ticket }) => (ticket ? listen(ticket) : { code: 1013, slug: "no ticket" }))
    .catch((problem) => ({ code: 1013, slug: `no ticket: ${problem.message}` }));
  const over = "done" in how, final = FINAL.includes(how.code) || (how.code >= 4000 && how.code < 4100);
  if (heard.frames > before) attempts = 0;
  if (over || final || attempts >= ATTEMPTS) {
    console.error(`${how.slug}, ${heard.frames} frames, ${heard.reconnects} reconnects`);
    process.exitCode = over && how.done ? 0 : 1;
    break;
  }
  if (how.code === 4203) heard.epoch = null;
  const jitter = Math.random() * Math.min(10_000, 250 * 2 ** attempts);  // thousands may come back at this moment
  const wait = (how.after ?? 0) + (attempts === 0 && how.code >= 4200 && how.code < 4300 ? 0 : jitter);
  await new Promise((go) => setTimeout(go, wait));
}
