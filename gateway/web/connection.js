/* One WebSocket that comes back: it opens, listens, notices silence, and reconnects as the close code asks.
 *
 * Invariant: at most one socket is alive, and it is retried only while its owner still needs it.
 * It knows close codes and JSON, not songs; what to say after a reconnect is its owner's business.
 */

import { WavegateError } from './errors.js';

const FIRST_PATIENCE = 6_000; // before the first session a person is waiting for an answer
const PATIENCE = 120_000; // afterwards music may still be playing from the buffer
const OPEN_TIMEOUT = 3_000;
const BLOCKED_AFTER = 2; // sockets that never opened, before another way is looked for
const WAKE_TIMEOUT = 3_000;
const PING_AFTER = 10_000;
const SILENCE_LIMIT = 30_000;
const LONGEST_DELAY = 15_000;

// Networks come back, and phones and laptops wake up, long before a timer would notice. Node has none of these.
const WAKES = [['online', globalThis], ['pageshow', globalThis], ['visibilitychange', globalThis.document]];

const FINAL = new Set([1003, 1008, 1009, 4001, 4003, 4004, 4005, 4008, 4010]);

/** What a close code asks of a client: `{retry, delay}`; a delay of null means "back off as you see fit" (ms). */
export function afterClose(code, reason) {
  const told = /retry_after_ms=(\d+)/.exec(reason);
  if (FINAL.has(code)) return { retry: false, delay: null };
  if (code >= 4200 && code < 4300) return { retry: true, delay: 0 };
  return { retry: true, delay: told ? Number(told[1]) : null };
}

/** Exponential back-off with full jitter over its upper half, in ms. */
export function backOff(attempt, random = Math.random) {
  const ceiling = Math.min(LONGEST_DELAY, 500 * 2 ** attempt);
  return ceiling * (0.5 + random() / 2);
}

export class Connection {
  #owner;
  #socket = null;
  #opening = null;
  #timer = null;
  #pulse = null;
  #attempt = 0;
  #deadline = 0;
  #heard = 0;
  #comeBack = null;
  #lastError = null;
  #opens = 0;
  #failures = 0; // sockets in a row that never became a session
  #wakeUp = () => document.visibilityState === 'visible' && this.#wake();

  /**
   * `owner`: {url, protocols(): Promise<string[]>, needed(): boolean, opened(session), message(object), frame(buffer),
   * lost({code, delay}), gaveUp(error), blocked(), renewable(): boolean}; `blocked`
   * is told when no socket has ever opened, `renewable` tells whether an expired ticket can be had anew.
   */
  constructor(owner) {
    this.#owner = owner;
  }

  get ready() {
    return this.#socket !== null && this.#opening === null;
  }

  /** Resolves with `session.created`; rejects with a WavegateError when no session can be had. */
  open() {
    if (this.ready) return Promise.resolve();
    if (!this.#opening) {
      this.#await(FIRST_PATIENCE);
      if (!this.#timer) this.#dial();
    }
    return this.#opening.promise;
  }

  send(message) {
    this.#socket.send(JSON.stringify(message));
  }

  /** Leaves the socket, and comes back after so many ms, as if it had been closed from there. */
  again(delay) {
    this.#comeBack = delay;
    if (this.ready) this.#closed(this.#socket, 1012, '');
  }

  close() {
    this.#drop(1000);
    this.#rest();
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#opening?.reject(new WavegateError({ code: 'cancelled', message: 'The connection was closed by the page.' }));
    this.#opening = null;
  }

  #await(patience) {
    this.#deadline = performance.now() + patience;
    const opening = (this.#opening = {});
    opening.promise = new Promise((resolve, reject) => Object.assign(opening, { resolve, reject }));
    opening.promise.catch(() => {}); // the owner is told by `gaveUp`; waiting for the promise is optional
    for (const [name, target] of WAKES) target?.addEventListener?.(name, this.#wakeUp);
  }

  #rest() {
    for (const [name, target] of WAKES) target?.removeEventListener?.(name, this.#wakeUp);
  }

  // Waiting ends; a socket that looks alive has to prove it.
  #wake() {
    if (this.#opening && !this.#socket && this.#timer) {
      clearTimeout(this.#timer);
      this.#dial();
    } else if (this.ready && this.#timer === null) {
      const heard = this.#heard;
      const socket = this.#socket;
      this.send({ type: 'ping', t: Date.now() });
      this.#timer = setTimeout(() => {
        this.#timer = null;
        if (this.#heard === heard) this.#closed(socket, 1006, 'silent');
      }, WAKE_TIMEOUT);
    }
  }

  async #dial() {
    this.#timer = null;
    let protocols;
    try {
      protocols = await this.#owner.protocols();
    } catch (cause) {
      const message = `No ticket could be had: ${cause?.message ?? cause}`;
      return this.#giveUp(new WavegateError({ code: 'missing_credentials', message, retryable: true }));
    }
    if (!this.#opening || this.#socket) return; // closed, perhaps opened again, meanwhile
    const socket = new WebSocket(this.#owner.url, protocols);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    this.#lastError = null;
    this.#timer = setTimeout(() => this.#closed(socket, 1006, 'no answer'), OPEN_TIMEOUT);
    socket.onmessage = (event) => this.#receive(event.data);
    socket.onclose = (event) => this.#closed(socket, event.code, event.reason);
  }

  #receive(data) {
    this.#heard = performance.now();
    if (typeof data !== 'string') return this.#owner.frame(data);
    const message = JSON.parse(data);
    if (message.type === 'session.created') return this.#opened(message);
    if (message.type === 'session.goaway') this.#comeBack = message.reconnect_after_ms ?? null;
    else if (message.type === 'error' && message.ref == null) this.#lastError = message.error;
    this.#owner.message(message);
  }

  #opened(session) {
    clearTimeout(this.#timer);
    this.#timer = null;
    this.#attempt = this.#failures = 0;
    this.#opens += 1;
    this.#comeBack = null;
    const opening = this.#opening;
    this.#opening = null;
    this.#pulse = setInterval(() => this.#checkPulse(), PING_AFTER / 2);
    this.#owner.opened(session);
    opening.resolve(session);
  }

  // A dead mobile network closes nothing: only silence tells.
  #checkPulse() {
    const silent = performance.now() - this.#heard;
    if (silent > SILENCE_LIMIT) this.#closed(this.#socket, 1006, 'silent');
    else if (silent > PING_AFTER) this.send({ type: 'ping', t: Date.now() });
  }

  #closed(socket, code, reason) {
    if (socket !== this.#socket) return;
    this.#drop();
    clearTimeout(this.#timer);
    this.#timer = null;
    const verdict = afterClose(code, reason);
    const said = this.#lastError;
    if (!verdict.retry || (code === 4201 && !this.#owner.renewable())) {
      const slug = reason.split(';')[0];
      return this.#giveUp(new WavegateError(said ?? { code: slug || 'bad_protocol' }, code));
    }
    if (!this.#opening) {
      if (!this.#owner.needed()) return this.#rest();
      this.#await(PATIENCE);
    }
    this.#failures += 1;
    if (this.#opens === 0 && this.#failures === BLOCKED_AFTER) this.#owner.blocked();
    if (performance.now() > this.#deadline) {
      const message = 'The gateway does not answer. Check that it is running and that you are online.';
      return this.#giveUp(new WavegateError(said ?? { code: 'unreachable', message, retryable: true }, code));
    }
    const delay = verdict.delay ?? this.#comeBack ?? backOff(this.#attempt);
    this.#comeBack = null;
    // "At once" means once: a code that keeps coming back is backed off like any other.
    const wait = this.#attempt > 0 ? Math.max(delay, backOff(this.#attempt)) : delay;
    this.#attempt += 1;
    this.#timer = setTimeout(() => this.#dial(), wait);
    this.#owner.lost({ code, delay: wait });
  }

  #giveUp(error) {
    const opening = this.#opening;
    this.#opening = null;
    this.#attempt = 0;
    this.#rest();
    opening?.reject(error);
    this.#owner.gaveUp(error);
  }

  #drop(code) {
    clearInterval(this.#pulse);
    const socket = this.#socket;
    this.#socket = null;
    if (!socket) return;
    socket.onmessage = socket.onclose = null;
    socket.close(code); // page script may give 1000 or 3000-4999 only; undefined is allowed too
  }
}
