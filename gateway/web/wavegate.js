/* The browser's client of Wavegate: one connection, many songs, reconnects included.
 *
 * Invariant: a song that was asked for either sounds or fails with a WavegateError; a generation is asked for once,
 * because asking again would be paid again. No build step, no dependency, no global: import it and go.
 *
 *   const gate = new Wavegate({ ticket: () => fetchTicketFromMyServer() });
 *   button.onclick = () => gate.create({ prompt: 'slow piano, rain on the window' }).play();
 *
 * Events of the gateway: session, lost, quota, error.
 */

import { Connection } from './connection.js';
import { WavegateError } from './errors.js';
import { readFrame } from './frames.js';
import { Song } from './song.js';

export { Song, WavegateError, readFrame };

const PROTOCOL = 'wavegate.v1';
const EXTENSIONS = {
  'audio/mpeg': 'mp3',
  'audio/wav': 'wav',
  'audio/L16': 'pcm',
  'audio/ogg; codecs="opus"': 'ogg',
  'audio/webm; codecs="opus"': 'webm',
  'audio/aac': 'aac',
  'audio/mp4; codecs="mp4a.40.2"': 'mp4',
  'audio/flac': 'flac',
};

export class Wavegate extends EventTarget {
  #server;
  #key;
  #ticket;
  #connection;
  #songs = new Set();
  #requests = new Map(); // ref -> {song, message, sent}
  #renditions = new Map(); // number in the frames -> song
  #count = 0;
  #port = { address: (song) => this.#address(song), leave: (song) => this.#leave(song) };

  /** `ticket`: one, or a function that fetches one for every connection. `key` is for demo gateways and kiosks only. */
  constructor({ server = location.href, key = null, ticket = null } = {}) {
    super();
    this.#server = server;
    this.#key = key;
    this.#ticket = ticket;
    const url = new URL('/v1/ws', server);
    url.protocol = url.protocol.replace('http', 'ws');
    this.#connection = new Connection({
      url,
      protocols: () => this.#protocols(),
      needed: () => this.#requests.size > 0 || [...this.#songs].some((song) => !song.finished),
      opened: (session) => this.#opened(session),
      message: (message) => this.#receive(message),
      frame: (buffer) => this.#receiveFrame(buffer),
      lost: (how) => this.#lost(how),
      gaveUp: (error) => this.#gaveUp(error),
    });
  }

  /** Resolves once the gateway has let us in; create and attach do it by themselves. */
  connect() {
    return this.#connection.open();
  }

  /** Buys a song. `input` is the provider's: prompt, lyrics, gender, ...; `options`: {model, mode, format, share, abandon, audio}. */
  create(input, { audio, ...options } = {}) {
    return this.#ask(new Song(this.#port, { audio }), { type: 'stream.create', input, ...options });
  }

  /** Joins a song. `since`: "start", "live", {seconds_ago} or {epoch, seq}. */
  attach(id, { audio, since = 'start', ...options } = {}) {
    const song = new Song(this.#port, { id, audio, since });
    return this.#ask(song, { type: 'stream.attach', stream_id: id, since, ...options });
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

  #ask(song, message) {
    const ref = String(++this.#count);
    this.#songs.add(song);
    this.#requests.set(ref, { song, message: { ...message, ref }, sent: false });
    if (this.#connection.ready) this.#flush();
    else this.connect().catch(() => {}); // #gaveUp tells every song
    return song;
  }

  #flush() {
    for (const request of this.#requests.values()) {
      if (!request.sent) this.#connection.send(request.message);
      request.sent = true;
    }
  }

  #opened(session) {
    const asking = new Set([...this.#requests.values()].map((request) => request.song));
    for (const song of this.#songs) {
      if (!song.finished && !asking.has(song)) this.#attachAgain(song);
      song.connection(true);
    }
    this.#flush();
    this.#tell('session', session);
  }

  #attachAgain(song) {
    const ref = String(++this.#count);
    const message = { type: 'stream.attach', ref, stream_id: song.id, since: song.since };
    this.#requests.set(ref, { song, message, sent: false });
  }

  #receive(message) {
    const { type, ref } = message;
    if (type === 'quota.updated') this.#tell('quota', message);
    if (type === 'error') return this.#refused(message);
    const request = this.#requests.get(ref);
    const id = message.stream_id ?? message.stream?.id;
    const song = request?.song ?? [...this.#songs].find((one) => one.id === id);
    if (!song && type === 'stream.created') this.#detach(id); // its asker has left meanwhile
    if (!song || !type.startsWith('stream.')) return;
    for (const [key, { song: asker }] of this.#requests) if (asker === song) this.#requests.delete(key);
    if (type === 'stream.started') this.#renditions.set(message.rendition, song);
    song.receive(message);
  }

  #receiveFrame(buffer) {
    const frame = readFrame(buffer);
    this.#renditions.get(frame.rendition)?.receiveFrame(frame);
  }

  #refused({ ref, error }) {
    const request = this.#requests.get(ref);
    if (!request) return this.#tell('error', new WavegateError(error));
    this.#requests.delete(ref);
    if (error.code !== 'position_lost') return request.song.fail(new WavegateError(error));
    request.song.restart();
    this.#attachAgain(request.song);
    this.#flush();
  }

  #lost({ code, delay }) {
    this.#renditions.clear();
    for (const [ref, request] of this.#requests) {
      if (request.sent && request.message.type === 'stream.create') {
        this.#requests.delete(ref);
        const message = 'The connection was lost before the gateway answered. The song may have been made: look at the list.';
        request.song.fail(new WavegateError({ code: 'connection_lost', message }));
      }
      request.sent = false;
    }
    for (const song of this.#songs) {
      if (code === 4203 && !song.finished) song.restart();
      song.connection(false);
    }
    this.#tell('lost', { code, delay });
  }

  #gaveUp(error) {
    this.#requests.clear();
    for (const song of this.#songs) song.fail(error);
    this.#tell('error', error);
  }

  #leave(song) {
    this.#songs.delete(song);
    for (const [ref, request] of this.#requests) if (request.song === song) this.#requests.delete(ref);
    for (const [number, one] of this.#renditions) if (one === song) this.#renditions.delete(number);
    if (song.id && !song.finished) this.#detach(song.id);
  }

  #detach(id) {
    if (this.#connection.ready) this.#connection.send({ type: 'stream.detach', stream_id: id });
  }

  #freshTicket() {
    return typeof this.#ticket === 'function' ? this.#ticket() : this.#ticket;
  }

  async #protocols() {
    const ticket = await this.#freshTicket();
    if (ticket) return [PROTOCOL, `wavegate.ticket.${base64url(ticket)}`];
    return this.#key ? [PROTOCOL, `wavegate.key.${base64url(this.#key)}`] : [PROTOCOL];
  }

  // An element cannot set headers: its address carries a ticket. Without one the song is played once it is whole.
  async #address(song) {
    try {
      const ticket = (await this.#freshTicket()) ?? (await this.#mint(song.id));
      const extension = EXTENSIONS[song.format.mime] ?? song.format.codec;
      return new URL(`/v1/streams/${song.id}/audio.${extension}?ticket=${encodeURIComponent(ticket)}`, this.#server).href;
    } catch {
      return null;
    }
  }

  async #mint(id) {
    const body = JSON.stringify({ stream_id: id, allow: ['listen'], ttl_seconds: 900, uses: 0 });
    return (await this.#rest('/v1/tickets', { method: 'POST', body })).ticket;
  }

  async #rest(path, options = {}) {
    const headers = { Authorization: `Bearer ${this.#key}`, 'Content-Type': 'application/json' };
    const signal = AbortSignal.timeout(10_000);
    const answer = await fetch(new URL(path, this.#server), { ...options, headers, signal });
    const body = await answer.json();
    if (!answer.ok) throw new WavegateError(body.error ?? {});
    return body;
  }

  #tell(name, detail) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}

// Subprotocol names are HTTP tokens: no "=" and no "/".
function base64url(text) {
  const bytes = new TextEncoder().encode(text);
  return btoa(String.fromCharCode(...bytes)).replaceAll('+', '-').replaceAll('/', '_').replace(/=+$/, '');
}
