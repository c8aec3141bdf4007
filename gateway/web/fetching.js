/* The way around a blocked WebSocket: the same songs over plain HTTP, by fetch().
 *
 * Invariant: byte N of a song is kept once, a body that breaks is taken up at the byte where it broke, and an order is
 * made once. What only a WebSocket tells (the place in the queue, the SHA-256) is not known here.
 */

import { mimeOf } from './capabilities.js';
import { backOff } from './connection.js';
import { WavegateError } from './errors.js';
import { joined } from './track.js';

const PATIENCE = 60_000; // ms without a byte or an answer before a song is given up
const NEWS_EVERY = 5_000; // ms
// Bytes a second that a piece of a body is taken for, where its bytes do not tell: only the stock is judged by it.
const USUAL_RATE = 24_000;
const PCM = /rate=(\d+).*channels=(\d+)/;

export class Fetching {
  #request;
  #runs = new Map(); // song -> AbortController

  /** `request(path, options)` resolves with a Response, whatever its status, with the client's credentials. */
  constructor(request) {
    this.#request = request;
  }

  /** Orders and plays: `order` is the body of a purchase, with its key, or null to join. */
  async run(song, order, key) {
    this.leave(song);
    const stop = new AbortController();
    this.#runs.set(song, stop);
    const { signal } = stop;
    try {
      if (order && !song.id) {
        const headers = { 'Idempotency-Key': key };
        const body = JSON.stringify(order);
        const taken = await this.#patiently(song, signal, '/v1/streams', { method: 'POST', headers, body });
        song.receive({ type: 'stream.created', stream: await taken.json() });
      }
      this.#report(song, signal);
      if (song.plan.sink === 'element') this.#begin(song, '', 'mp3');
      else await this.#listen(song, signal);
    } catch (problem) {
      if (signal.aborted) return;
      song.fail(problem instanceof WavegateError ? problem : new WavegateError({ message: problem?.message }));
      stop.abort();
    }
  }

  leave(song) {
    this.#runs.get(song)?.abort();
    this.#runs.delete(song);
  }

  async #listen(song, signal) {
    const since = typeof song.since === 'string' ? song.since : (song.since.seconds_ago ?? 'start');
    const [wish] = song.plan.formats;
    const { codec = wish, sample_rate: rate, channels, bitrate } = wish;
    const query = Object.entries({ since, rate, channels, bitrate }).filter(([, value]) => value !== undefined);
    const path = `/v1/streams/${encodeURIComponent(song.id)}/audio.${codec}?${new URLSearchParams(query)}`;
    let got = 0;
    let tag = null;
    for (let whole = false; !whole && !song.error; ) {
      const headers = got && since === 'start' ? { Range: `bytes=${got}-` } : {};
      const answer = await this.#patiently(song, signal, path, { headers });
      // Other bytes, or bytes whose place nobody knows: what has come so far is not continued by them.
      const anew = since !== 'start' || answer.headers.get('ETag') !== tag;
      if (got && anew) song.restart();
      if (anew) this.#begin(song, answer.headers.get('Content-Type'), codec);
      let skip = anew || answer.status === 206 ? 0 : got;
      if (anew) got = 0;
      tag = answer.headers.get('ETag');
      const block = song.format.sample_rate ? 2 * song.format.channels : 1;
      let rest = new Uint8Array(0);
      try {
        const reader = answer.body.getReader();
        for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
          const bytes = joined([rest, piece.value.subarray(Math.min(skip, piece.value.length))]);
          skip = Math.max(0, skip - piece.value.length);
          const cut = bytes.length - (bytes.length % block);
          rest = bytes.subarray(cut);
          got += cut;
          if (cut) this.#grow(song, bytes.subarray(0, cut));
        }
        whole = true;
      } catch {
        if (signal.aborted) return;
        song.connection(false);
        await this.#look(song, signal).catch(() => {}); // it may have failed, and then nothing follows
      }
    }
    const seconds = await this.#look(song, signal).catch(() => undefined);
    this.#complete(song, seconds);
  }

  #begin(song, type, codec) {
    const [, rate = null, channels = null] = PCM.exec(type)?.map(Number) ?? [];
    const format = { codec, mime: mimeOf(codec), sample_rate: rate, channels, bitrate: null };
    song.receive({ type: 'stream.started', stream_id: song.id, epoch: 0, seq: 0, format });
  }

  #grow(song, bytes) {
    const { sample_rate: rate, channels } = song.format;
    const exact = Boolean(rate && channels);
    song.receivePiece(bytes, bytes.length / (exact ? 2 * rate * channels : USUAL_RATE), exact);
  }

  // What a listener over WebSocket is told by itself.
  async #report(song, signal) {
    while (!signal.aborted && !song.finished) {
      await this.#look(song, signal).catch(() => {});
      await pause(NEWS_EVERY, signal);
    }
  }

  async #look(song, signal) {
    const answer = await this.#request(`/v1/streams/${encodeURIComponent(song.id)}`, { signal });
    if (!answer.ok) return undefined;
    const { status, error, lyrics, title, listeners, duration_seconds: seconds } = await answer.json();
    song.receive({ type: 'stream.metadata', stream_id: song.id, lyrics, title, listeners, generated_seconds: seconds });
    if (error) song.fail(new WavegateError(error));
    else if (song.plan.sink === 'element' && status === 'completed') this.#complete(song, seconds);
    return seconds;
  }

  #complete(song, seconds) {
    song.receive({ type: 'stream.completed', stream_id: song.id, duration_seconds: seconds ?? song.duration });
  }

  async #patiently(song, signal, path, options) {
    const deadline = performance.now() + PATIENCE;
    for (let attempt = 0; ; attempt++) {
      let problem;
      try {
        const answer = await this.#request(path, { ...options, signal });
        song.connection(true);
        if (answer.ok) return answer;
        const { error = {} } = await answer.json().catch(() => ({}));
        // An order that was made, perhaps, with the last use of its ticket.
        if (attempt > 0 && options.body && error.code === 'ticket_used') error.code = 'connection_lost';
        problem = new WavegateError(error);
      } catch (cause) {
        if (signal.aborted) throw cause;
        const lost = { code: 'unreachable', message: cause.message, retryable: true };
        problem = cause instanceof WavegateError ? cause : new WavegateError(lost);
      }
      const wait = problem.retryAfterMs ?? backOff(attempt);
      const hopeless = !problem.retryable && problem.code !== 'credentials_expired';
      if (hopeless || performance.now() + wait > deadline) throw problem;
      song.connection(false);
      await pause(wait, signal);
    }
  }
}

function pause(ms, signal) {
  return new Promise((done) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', () => done(clearTimeout(timer)), { once: true });
  });
}
