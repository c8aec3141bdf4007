/* The browser's client of Wavegate: one connection, many songs, reconnects included.
 *
 *   import { Wavegate } from 'https://music.example/wavegate.js';
 *   const gate = new Wavegate({ ticket: () => fetchTicketFromMyServer() });
 *   button.onclick = () => gate.create({ prompt: 'slow piano, rain on the window' }).play();
 *
 * No build step, no dependency, no global. The browser is asked what it can play; sound begins a quarter of a second
 * after the first byte; a broken connection is taken up where it broke. wavegate.d.ts tells everything there is.
 *
 * Invariant: a song that was asked for either sounds or fails with a WavegateError, and it is bought once, however
 * often it is ordered: asking again goes under the same key. Events of the gateway: session, lost, quota, error.
 */

import { choose, nameOf, supports } from './capabilities.js';
import { Connection } from './connection.js';
import { Emitter } from './emitter.js';
import { WavegateError } from './errors.js';
import { readFrame } from './frames.js';
import { Song } from './song.js';

export { Song, WavegateError, readFrame };

const PROTOCOL = 'wavegate.v1';
const REST_TIMEOUT = 10_000;
const DOUBT =
  'The connection was lost before the gateway answered, and the ticket is used up: the song may have been made.';
const LEAVING = 'leaving'; // the ref of every stream.detach

export class Wavegate extends Emitter {
  #server;
  #key;
  #ticket;
  #usual; // options of every song
  #transport;
  #connection;
  #fetching = null; // a promise of what few need, and is loaded for them alone
  #songs = new Set();
  #requests = new Map(); // ref -> {song, message, order, sent, ticket}
  #renditions = new Map(); // number in the frames -> song
  #session = null; // the ticket of the connection
  #paying = new Map(); // key of an order over HTTP -> the ticket it came with
  #count = 0;
  #port;

  constructor(options = {}) {
    const { server = import.meta.url, key = null, ticket = null, transport = null, ...others } = options;
    const { signal, worklet, ...usual } = others;
    super();
    const here = globalThis.location?.href; // there is none in Node
    this.#server = new URL(server, here);
    this.#key = key;
    this.#ticket = ticket;
    this.#transport = transport;
    this.#usual = { ...usual, worklet: new URL(worklet ?? new URL('worklet.js', import.meta.url), here) };
    const url = new URL('/v1/ws', this.#server);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#connection = new Connection({
      url,
      protocols: () => this.#protocols(),
      renewable: () => typeof ticket === 'function',
      needed: () => this.#requests.size > 0 || [...this.#songs].some((song) => !song.finished),
      opened: (session) => this.#opened(session),
      message: (message) => this.#receive(message),
      frame: (buffer) => this.#receiveFrame(buffer),
      lost: (how) => this.#lost(how),
      gaveUp: (error) => this.#gaveUp(error),
      blocked: () => this.#blocked(),
    });
    const self = this;
    this.#port = {
      address: (song) => this.#address(song),
      leave: (song) => this.#leave(song),
      again: (song) => this.#again(song),
      cancel: (song) => this.#cancel(song),
      get transport() {
        return self.#transport ?? 'ws';
      },
    };
    signal?.addEventListener('abort', () => this.close());
  }

  static supports() {
    return supports();
  }

  /** Resolves once the gateway has let us in; create and attach do it by themselves. */
  connect() {
    if (this.#transport === 'fetch') return Promise.resolve(null);
    return this.#connection.open().catch((problem) => {
      if (this.#transport === 'fetch') return null; // that way was found meanwhile
      throw problem;
    });
  }

  /** Buys a song. `input` is the provider's: prompt, lyrics, gender, ... */
  create(input, { model, mode, share, abandon, ...options } = {}) {
    const order = { input, model, mode, share, abandon };
    const message = { type: 'stream.create', ...order, idempotency_key: newKey() };
    return this.#ask(this.#song(options), message, order);
  }

  /** Joins a song. `since`: "start", "live", {seconds_ago} or {epoch, seq}. */
  attach(id, { since = 'start', ...options } = {}) {
    return this.#ask(this.#song({ ...options, id, since }), { type: 'stream.attach', stream_id: id, since });
  }

  /** The tenant's streams, newest first as the gateway lists them. Needs the key: tickets are for listening. */
  async streams() {
    return (await this.#rest('/v1/streams')).streams;
  }

  /** One StreamInfo. */
  stream(id) {
    return this.#rest(`/v1/streams/${encodeURIComponent(id)}`);
  }

  close() {
    for (const song of [...this.#songs]) song.close();
    this.#connection.close();
  }

  // -- asking --------------------------------------------------------------------------------------------------------

  #song(options) {
    const merged = { ...this.#usual, ...options };
    const song = new Song(this.#port, { ...merged, ...choose(merged) });
    this.#songs.add(song);
    return song;
  }

  #ask(song, message, order = null) {
    const ref = String(++this.#count);
    const { formats: format, onLag: on_lag } = song.plan;
    this.#requests.set(ref, { song, message: { ...message, format, on_lag, ref }, order, sent: false, ticket: null });
    this.#send();
    return song;
  }

  #send() {
    if (this.#transport === 'fetch') this.#byFetch();
    else if (this.#connection.ready) this.#flush();
    else this.connect().catch(() => {}); // #gaveUp tells every song
  }

  #flush() {
    for (const request of this.#requests.values()) {
      if (request.sent) continue;
      this.#connection.send(request.message);
      request.sent = true;
      if (request.order) request.ticket = this.#session;
    }
  }

  async #byFetch() {
    const requests = [...this.#requests.values()];
    this.#requests.clear();
    const request = (path, options) => this.#request(path, options);
    this.#fetching ??= import('./fetching.js').then(({ Fetching }) => new Fetching(request));
    try {
      const fetching = await this.#fetching;
      for (const { song, message, order } of requests) {
        if (this.#songs.has(song)) fetching.run(song, order, message.idempotency_key);
      }
    } catch (cause) {
      this.#gaveUp(new WavegateError({ code: 'unreachable', message: cause.message, retryable: true }));
    }
  }

  // The place is asked for again; what is heard meanwhile goes on.
  #again(song) {
    this.#detach(song);
    this.#attachAgain(song);
    this.#send();
  }

  #attachAgain(song) {
    const ref = String(++this.#count);
    const { id: stream_id, since, wish: format } = song;
    const message = { type: 'stream.attach', ref, stream_id, since, format, on_lag: song.plan.onLag };
    this.#requests.set(ref, { song, message, order: null, sent: false, ticket: null });
  }

  #leave(song) {
    this.#songs.delete(song);
    this.#fetching?.then((fetching) => fetching.leave(song));
    this.#forget(song);
    if (song.id && !song.finished) this.#detach(song);
  }

  #forget(song) {
    for (const [ref, request] of this.#requests) if (request.song === song) this.#requests.delete(ref);
  }

  #detach(song) {
    for (const [number, one] of this.#renditions) if (one === song) this.#renditions.delete(number);
    if (this.#connection.ready && !song.finished) this.#sendOff(song.id);
  }

  #sendOff(stream_id) {
    this.#connection.send({ type: 'stream.detach', stream_id, ref: LEAVING });
  }

  // -- what the connection tells -------------------------------------------------------------------------------------

  #opened(session) {
    const asking = new Set([...this.#requests.values()].map(({ song }) => song));
    for (const song of this.#songs) {
      if (!song.finished && !asking.has(song)) this.#attachAgain(song);
      song.connection(true);
    }
    this.#transport = 'ws';
    this.#flush();
    this.tell('session', session);
  }

  #receive(message) {
    const { type, ref } = message;
    if (type === 'quota.updated') this.tell('quota', message);
    if (type === 'error') return this.#refused(message);
    const id = message.stream_id ?? message.stream?.id;
    const song = this.#requests.get(ref)?.song ?? [...this.#songs].find((one) => one.id === id);
    if (!song && type === 'stream.created') this.#sendOff(id); // its asker has left meanwhile
    if (!song || !type.startsWith('stream.') || type === 'stream.detached') return;
    if (type !== 'stream.metadata') this.#forget(song);
    if (type === 'stream.started') this.#renditions.set(message.rendition, song);
    song.receive(message);
  }

  #receiveFrame(buffer) {
    const frame = readFrame(buffer);
    this.#renditions.get(frame.rendition)?.receiveFrame(frame);
  }

  #refused({ ref, error }) {
    const request = this.#requests.get(ref);
    if (ref === LEAVING) return; // it had ended by itself
    if (!request) return this.tell('error', new WavegateError(error));
    const { song } = request;
    if (error.code === 'going_away') {
      // Nothing new begins there: it is asked for again on the next connection, once nobody hears this one.
      Object.assign(request, { sent: false, ticket: null });
      const hearing = [...this.#songs].some((one) => one !== song && one.id && !one.finished);
      if (!hearing) this.#connection.again(error.retry_after_ms ?? 1000);
      return;
    }
    this.#requests.delete(ref);
    if (error.code !== 'position_lost') return song.fail(new WavegateError(error));
    song.restart();
    this.#attachAgain(song);
    this.#flush();
  }

  #lost({ code, delay }) {
    this.#renditions.clear();
    if (code === 4201) this.#giveUpOrders(); // their ticket is no more
    for (const request of this.#requests.values()) request.sent = false;
    for (const song of this.#songs) {
      if (code === 4203 && !song.finished && song.format) song.restart();
      song.connection(false);
    }
    this.tell('lost', { code, delay });
  }

  // An order may only be repeated with the ticket it came with: under another one its key is another's.
  #giveUpOrders() {
    let any = false;
    for (const [ref, { song, ticket }] of this.#requests) {
      if (ticket === null) continue;
      any = true;
      this.#requests.delete(ref);
      song.fail(new WavegateError({ code: 'connection_lost', message: DOUBT }));
    }
    return any;
  }

  #gaveUp(error) {
    if (this.#giveUpOrders() && typeof this.#ticket === 'function' && error.closeCode !== null) {
      if (this.#requests.size || [...this.#songs].some((song) => !song.finished)) this.connect().catch(() => {});
      return;
    }
    this.#requests.clear();
    for (const song of this.#songs) song.fail(error);
    this.tell('error', error);
  }

  // No WebSocket ever opened. If the gateway can be reached all the same, something on the way does not let them pass.
  async #blocked() {
    if (this.#transport) return;
    try {
      const signal = AbortSignal.timeout(REST_TIMEOUT);
      await fetch(new URL('/wavegate.js', this.#server), { method: 'HEAD', mode: 'no-cors', signal });
    } catch {
      return;
    }
    if (this.#transport || this.#connection.ready) return;
    this.#transport = 'fetch';
    this.#connection.close();
    this.#byFetch();
  }

  // -- credentials, and the doors of HTTP ----------------------------------------------------------------------------

  async #freshTicket() {
    return (typeof this.#ticket === 'function' ? await this.#ticket() : this.#ticket) ?? null;
  }

  async #protocols() {
    const owed = [...this.#requests.values()].find(({ ticket }) => ticket !== null);
    this.#session = owed?.ticket ?? (await this.#freshTicket());
    if (this.#session) return [PROTOCOL, `wavegate.ticket.${base64url(this.#session)}`];
    return this.#key ? [PROTOCOL, `wavegate.key.${base64url(this.#key)}`] : [PROTOCOL];
  }

  // An element cannot set headers: its address carries a ticket. Without one the song is played once it is whole.
  async #address(song) {
    try {
      await song.ready;
      const ticket = (await this.#freshTicket()) ?? (await this.#mint(song.id));
      const wish = song.plan.formats[0];
      const name = (song.format && nameOf(song.format.mime)) ?? wish.codec ?? wish;
      const door = song.plan.hls ? 'hls/index.m3u8' : `audio.${name}`;
      const url = new URL(`/v1/streams/${encodeURIComponent(song.id)}/${door}`, this.#server);
      url.searchParams.set('ticket', ticket);
      if (song.since === 'live') url.searchParams.set('since', 'live');
      return url.href;
    } catch {
      return null;
    }
  }

  async #mint(id) {
    const body = JSON.stringify({ stream_id: id, allow: ['listen'], ttl_seconds: 900, uses: 0 });
    return (await this.#rest('/v1/tickets', { method: 'POST', body })).ticket;
  }

  async #cancel(song) {
    await song.ready;
    await this.#rest(`/v1/streams/${encodeURIComponent(song.id)}`, { method: 'DELETE' });
  }

  async #rest(path, options = {}) {
    const answer = await this.#request(path, { ...options, signal: AbortSignal.timeout(REST_TIMEOUT) });
    const body = await answer.json();
    if (!answer.ok) throw new WavegateError(body.error ?? {});
    return body;
  }

  async #request(path, options) {
    const order = options.headers?.['Idempotency-Key'];
    const credential = this.#key ?? this.#paying.get(order) ?? (await this.#freshTicket());
    if (order) this.#paying.set(order, credential);
    const headers = { Authorization: `Bearer ${credential}`, ...options.headers };
    if (options.body) headers['Content-Type'] = 'application/json';
    return fetch(new URL(path, this.#server), { ...options, headers });
  }
}

function newKey() {
  return base64url(String.fromCharCode(...crypto.getRandomValues(new Uint8Array(18))));
}

// Subprotocol names are HTTP tokens: no "=" and no "/".
function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
