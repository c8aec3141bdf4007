/* One song as its listener knows it: what has arrived, what is heard, and what state that is, in one word.
 *
 * Invariant: every frame counts once, whatever was sent twice after a reconnect; the payloads kept are the bytes that
 * `verified` speaks of. `state` is derived from facts, never set. A song does not know how messages travel: transports
 * hand them to `receive`, `receiveFrame`, `receivePiece`, `fail` and `connection`.
 *
 * Events: state, created, queued, started, frame, metadata, gap, stall, completed, verified, error.
 */

import { nameOf } from './capabilities.js';
import { Emitter } from './emitter.js';
import { WavegateError } from './errors.js';
import { AUDIO, INIT } from './frames.js';
import { claimKeys, nameKeys, releaseKeys } from './mediakeys.js';
import { Playback } from './playback.js';
import { Track } from './track.js';

const EDGE = 0.6; // a live listener who was kept waiting begins this many seconds behind the newest sound

export class Song extends Emitter {
  id = null;
  info = null; // StreamInfo, of a song created here
  error = null; // WavegateError, once failed
  title = null;
  lyrics = null;
  silent = null; // still or silence: what the provider sends, where that is not sound
  verified = null; // true or false once checked; null: not yet, or not possible here
  ready;

  #port;
  #since;
  #plan;
  #keys;
  #track = new Track();
  #playback;
  #settled; // of `ready`
  #state = 'queued';
  #born = performance.now();
  #away = false;
  #completion = null; // the message stream.completed
  #next = null; // {epoch, seq} of the frame to come
  #back = null; // the second from which it is heard again, once its beginning has been fetched
  #edge = 0; // newest sound known of, in seconds
  #firstByteMs = null;
  #listeners = null;
  #gaps = 0;
  #reconnects = 0;

  /**
   * `port`: {address(song), leave(song), again(song), cancel(song), transport}; `plan`: what `choose` found, with the
   * options of the listener.
   */
  constructor(port, { id = null, since = 'start', mediaSession = true, ...plan }) {
    super();
    this.id = id;
    this.#port = port;
    this.#since = since;
    this.#plan = plan;
    this.#keys = mediaSession;
    this.ready = new Promise((resolve, reject) => (this.#settled = { resolve, reject }));
    this.ready.catch(() => {}); // there is an event for those who do not wait
    this.#playback = new Playback(this.#track, plan, {
      open: () => port.address(this),
      onchange: () => this.#settle(),
      onfail: (problem) => this.fail(new WavegateError({ code: 'playback_failed', message: problem?.message })),
      onstall: (target) => this.tell('stall', { target }),
    });
  }

  // -- for the listener ----------------------------------------------------------------------------------------------

  /** queued, buffering, playing, paused, reconnecting, blocked, ended or failed. */
  get state() {
    return this.#state;
  }

  /** Call it inside the click: sound may begin only there. Resolves once it plays or is known to be blocked. */
  play() {
    if (this.#playback.blocked && this.#since === 'live') this.seek(this.#playback.end - EDGE);
    if (this.#keys) claimKeys(this);
    return this.#playback.play();
  }

  pause() {
    this.#playback.pause();
  }

  /** Whether sound is held back here, whatever the connection does; of a song that failed without any it is. */
  get paused() {
    const dead = this.error !== null && !this.#track.frames.length;
    return dead || !this.#playback.wanted || this.#playback.blocked || this.#playback.ended;
  }

  get currentTime() {
    return this.#playback.time;
  }

  set currentTime(seconds) {
    this.seek(seconds);
  }

  /** Goes to that second. Whoever joined later than that has the beginning fetched. */
  seek(seconds) {
    const { frames, start } = this.#track;
    if (!frames.length) return;
    const asked = this.#back !== null;
    const lacking = frames[0].seq > 0 && seconds < start;
    if (!lacking && !asked) return this.#playback.seek(seconds);
    this.#back = Math.max(0, seconds);
    if (!asked) this.#port.again(this);
  }

  /** Seconds of sound made so far; final once completed. */
  get duration() {
    return this.#completion?.duration_seconds ?? this.#playback.end;
  }

  get format() {
    return this.#track.format;
  }

  get volume() {
    return this.#playback.volume;
  }

  set volume(level) {
    this.#playback.volume = level;
  }

  get muted() {
    return this.#playback.muted;
  }

  set muted(flag) {
    this.#playback.muted = flag;
  }

  get stats() {
    const { firstSoundMs, ahead, time, end, stalls, stallSeconds, slow, name, fetches } = this.#playback;
    return {
      firstByteMs: this.#firstByteMs,
      firstSoundMs,
      lagSeconds: Math.max(0, Math.max(end, this.completed ? 0 : this.#edge) - time),
      bufferedSeconds: ahead,
      bytes: this.#track.bytes,
      frames: this.#track.frames.length,
      gaps: this.#gaps,
      stalls,
      stallSeconds,
      slow,
      reconnects: this.#reconnects,
      listeners: this.#listeners,
      format: this.format,
      sink: name,
      transport: fetches ? 'fetch' : this.#port.transport,
      why: this.#plan.why,
    };
  }

  analyser() {
    return this.#playback.analyser();
  }

  /** What has arrived, as a file; the whole song once completed. */
  blob() {
    return this.#track.blob();
  }

  /** Ends the generation, for everybody. Resolves once it has ended. */
  async cancel() {
    if (!this.finished) await this.#port.cancel(this);
  }

  /** Leaves: this listener is gone, the song goes on for others. */
  close() {
    this.#settled.reject(new WavegateError({ code: 'cancelled', message: 'The song was left.' }));
    this.#port.leave(this);
    this.#playback.close();
    releaseKeys(this);
  }

  // -- for the transports --------------------------------------------------------------------------------------------

  /** The formats to ask for, and whether the element fetches the sound itself. */
  get plan() {
    return this.#plan;
  }

  /** What to ask for again: what is heard already, lest the same song come in other bytes. */
  get wish() {
    const name = this.format && nameOf(this.format.mime);
    return name ? (this.#plan.formats.find((wish) => (wish.codec ?? wish) === name) ?? name) : this.#plan.formats;
  }

  /** Where to go on after a reconnect. */
  get since() {
    return this.#back === null ? (this.#next ?? this.#since) : 'start';
  }

  get completed() {
    return this.#completion !== null;
  }

  /** No more sound will come. */
  get finished() {
    return this.completed || this.error !== null;
  }

  receive(message) {
    const { type } = message;
    if (this.finished && type !== 'stream.metadata' && !(type === 'stream.started' && this.#back !== null)) return;
    if (type === 'stream.failed') return this.fail(new WavegateError(message.error));
    if (type === 'stream.created') {
      this.info = message.stream;
      this.id = message.stream.id;
      this.#listeners = message.stream.listeners ?? null;
    } else if (type === 'stream.started') this.#started(message);
    else if (type === 'stream.metadata') this.#described(message);
    else if (type === 'stream.gap') this.#gaps += 1;
    else if (type === 'stream.completed') this.#complete(message);
    this.#settled.resolve(this);
    this.#settle();
    this.tell(type.replace('stream.', ''), message);
  }

  receiveFrame(frame) {
    if (this.finished || !this.#next) return;
    const track = this.#track;
    if (frame.kind === INIT) track.init ??= frame.payload;
    if (frame.kind !== AUDIO || frame.seq < this.#next.seq) return; // a lower seq was here before the reconnect
    this.#next.seq = frame.seq + 1;
    const rate = this.format.sample_rate;
    this.#grow({ payload: frame.payload, start: frame.pts / rate, seconds: frame.duration / rate, seq: frame.seq });
    this.tell('frame', frame);
  }

  /** A piece of a body: it lasts so many seconds, or about so many if `exact` is false. */
  receivePiece(payload, seconds, exact) {
    const track = this.#track;
    track.exact = exact;
    this.#grow({ payload, start: track.end, seconds, seq: track.frames.length });
  }

  /** Ends the song with an error; what has arrived is still played to its end. */
  fail(error) {
    this.#settled.reject(error);
    this.#back = null;
    if (this.finished) return;
    this.error = error;
    this.#end();
    this.#settle();
    this.tell('error', error);
  }

  /** The connection went away, or came back. */
  connection(up) {
    if (up && this.#away && this.#next) this.#reconnects += 1;
    this.#away = !up;
    this.#settle();
  }

  /** The gateway no longer has our position: all of it comes again, and is heard from where we are. */
  restart(from = this.#playback.time) {
    this.#next = this.#completion = this.#back = null;
    if (this.#since.epoch !== undefined) this.#since = 'start';
    this.#track = new Track();
    this.#edge = 0;
    this.#playback.restart(this.#track, from);
  }

  #started({ epoch, seq, format }) {
    if (this.#back !== null) this.restart(this.#back);
    else if (this.#next && this.#next.epoch !== epoch) this.restart();
    this.#track.format = format;
    this.#next ??= { epoch, seq };
    this.#playback.pump();
  }

  #grow(frame) {
    this.#firstByteMs ??= performance.now() - this.#born;
    this.#track.add(frame);
    this.#edge = Math.max(this.#edge, this.#track.end);
    this.#playback.pump();
  }

  #described({ generated_seconds: generated = 0, lyrics, title, listeners, silent }) {
    this.#edge = Math.max(this.#edge, generated);
    this.lyrics = lyrics ?? this.lyrics;
    this.title = title ?? this.title;
    this.#listeners = listeners ?? this.#listeners;
    if (silent !== undefined) this.silent = silent;
    nameKeys(this);
  }

  async #complete(message) {
    this.#completion = message;
    this.#end();
    const verified = await this.#track.verify(message.sha256);
    if (verified === null || this.#completion !== message) return;
    this.verified = verified;
    this.tell('verified', verified);
  }

  #end() {
    this.#track.ended = true;
    this.#playback.pump();
  }

  #settle() {
    const state = this.#derive();
    if (state === this.#state) return;
    this.#state = state;
    this.tell('state', state);
  }

  #derive() {
    const { ended, blocked, wanted, moving, name } = this.#playback;
    if (this.error) return 'failed';
    const silent = !this.#track.frames.length && name !== 'element';
    if (ended || (this.completed && silent)) return 'ended';
    if (this.#away && !this.finished) return 'reconnecting';
    if (!this.#next) return 'queued';
    if (blocked) return 'blocked';
    if (!wanted) return 'paused';
    return moving ? 'playing' : 'buffering';
  }
}
