/* One song as its listener knows it: what has arrived, what is heard, and what state that is, in one word.
 *
 * Invariant: every frame counts once, whatever was sent twice after a reconnect; the payloads kept are the bytes that
 * `verified` speaks of. `state` is derived from facts, never set. A song does not know how messages travel:
 * Wavegate hands them to `receive`, `receiveFrame`, `fail` and `connection`.
 *
 * Events: state, created, queued, started, frame, metadata, gap, stall, completed, verified, error.
 */

import { WavegateError } from './errors.js';
import { AUDIO, INIT } from './frames.js';
import { Playback } from './playback.js';

const EDGE = 0.6; // a live listener who was kept waiting begins this many seconds behind the newest sound

export class Song extends EventTarget {
  id = null;
  info = null; // StreamInfo, of a song created here
  error = null; // WavegateError, once failed
  title = null;
  lyrics = null;
  format = null; // as announced: {codec, mime, sample_rate, channels, bitrate}
  verified = null; // true or false once checked; null: not yet, or not possible here

  #port;
  #since;
  #audio;
  #playback;
  #state = 'queued';
  #born = performance.now();
  #away = false;
  #completion = null; // the message stream.completed
  #init = null;
  #payloads = [];
  #next = null; // {epoch, seq} of the frame to come
  #first = null; // the first frame's seq
  #received = 0; // newest sound here, in seconds
  #edge = 0; // newest sound known of, in seconds
  #firstByteMs = null;
  #listeners = null;
  #counts = { bytes: 0, frames: 0, gaps: 0, stalls: 0, reconnects: 0 };

  /** `port`: {address(song): Promise<string|null>, leave(song)}. `audio`: an element of the page's own, if it likes. */
  constructor(port, { id = null, audio = new Audio(), since = 'start' } = {}) {
    super();
    this.id = id;
    this.#port = port;
    this.#since = since;
    this.#audio = audio;
    this.#playback = new Playback(audio, {
      open: () => port.address(this),
      whole: () => this.blob(),
      onchange: () => this.#settle(),
      onfail: (problem) => this.fail(new WavegateError({ code: 'playback_failed', message: problem?.message })),
      onstall: () => {
        this.#counts.stalls += 1;
        this.#tell('stall');
      },
    });
  }

  // -- for the listener ----------------------------------------------------------------------------------------------

  /** queued, buffering, playing, paused, reconnecting, blocked, ended or failed. */
  get state() {
    return this.#state;
  }

  /** Call it inside the click: browsers let sound begin only there. Resolves once it plays or is known to be blocked. */
  play() {
    if (this.#playback.blocked && this.#since === 'live') this.currentTime = this.#received - EDGE;
    return this.#playback.play();
  }

  pause() {
    this.#playback.pause();
  }

  /** Whether sound is held back here, whatever the connection does. */
  get paused() {
    return !this.#playback.wanted || this.#playback.blocked || this.#playback.ended;
  }

  get currentTime() {
    return this.#playback.time;
  }

  set currentTime(seconds) {
    this.#playback.time = seconds;
  }

  /** Seconds of sound made so far; final once completed. */
  get duration() {
    return this.#completion?.duration_seconds ?? this.#received;
  }

  get volume() {
    return this.#audio.volume;
  }

  set volume(level) {
    this.#audio.volume = level;
  }

  get muted() {
    return this.#audio.muted;
  }

  set muted(flag) {
    this.#audio.muted = flag;
  }

  get stats() {
    const { firstSoundMs, ahead, time } = this.#playback;
    return {
      ...this.#counts,
      firstByteMs: this.#firstByteMs,
      firstSoundMs,
      bufferedSeconds: ahead,
      lagSeconds: Math.max(0, this.#edge - time),
      listeners: this.#listeners,
      format: this.format,
    };
  }

  analyser() {
    return this.#playback.analyser();
  }

  /** What has arrived, as a file; the whole song once completed. */
  blob() {
    const parts = this.#init ? [this.#init, ...this.#payloads] : this.#payloads;
    return new Blob(parts, { type: this.format?.mime.split(';')[0] });
  }

  /** Leaves: this listener is gone, the song goes on for others. */
  close() {
    this.#port.leave(this);
    this.#playback.close();
  }

  // -- for Wavegate --------------------------------------------------------------------------------------------------

  /** Where to go on after a reconnect. */
  get since() {
    return this.#next ?? this.#since;
  }

  get completed() {
    return this.#completion !== null;
  }

  /** No more sound will come. */
  get finished() {
    return this.completed || this.error !== null;
  }

  receive(message) {
    if (this.finished && message.type !== 'stream.metadata') return;
    switch (message.type) {
      case 'stream.created':
        this.info = message.stream;
        this.id = message.stream.id;
        this.#listeners = message.stream.listeners ?? null;
        break;
      case 'stream.started':
        this.#started(message);
        break;
      case 'stream.metadata':
        this.#described(message);
        break;
      case 'stream.gap':
        this.#counts.gaps += 1;
        break;
      case 'stream.completed':
        this.#completed(message);
        break;
      case 'stream.failed':
        this.fail(new WavegateError(message.error));
        return;
    }
    this.#settle();
    this.#tell(message.type.replace('stream.', ''), message);
  }

  receiveFrame(frame) {
    if (this.finished) return;
    if (frame.kind === INIT) {
      this.#init ??= frame.payload;
      this.#playback.append(frame.payload, 0);
    }
    if (frame.kind !== AUDIO || frame.seq < this.#next.seq) return; // a lower seq was here before the reconnect
    const rate = this.format.sample_rate;
    if (this.#first === null) {
      this.#first = frame.seq;
      this.#firstByteMs ??= performance.now() - this.#born;
      this.#playback.start(this.format.mime, frame.pts / rate);
    }
    this.#next.seq = frame.seq + 1;
    this.#payloads.push(frame.payload);
    this.#counts.frames += 1;
    this.#counts.bytes += frame.payload.length;
    this.#received = (frame.pts + frame.duration) / rate;
    this.#edge = Math.max(this.#edge, this.#received);
    this.#playback.append(frame.payload, frame.duration / rate);
    this.#tell('frame', frame);
  }

  /** Ends the song with an error; what has arrived is still played to its end. */
  fail(error) {
    if (this.finished) return;
    this.error = error;
    if (this.#first !== null) this.#playback.end();
    this.#settle();
    this.#tell('error', error);
  }

  /** The connection went away, or came back. */
  connection(up) {
    if (up && this.#away && this.#next) this.#counts.reconnects += 1;
    this.#away = !up;
    this.#settle();
  }

  /** The gateway no longer has our position: all of it comes again. */
  restart() {
    this.#playback.restart();
    this.#next = this.#first = this.#init = null;
    this.#payloads = [];
    this.#received = this.#edge = 0;
    Object.assign(this.#counts, { bytes: 0, frames: 0 });
  }

  #started({ epoch, seq, format }) {
    if (this.#next && this.#next.epoch !== epoch) this.restart();
    this.format = format;
    this.#next ??= { epoch, seq };
    this.#playback.expect(format.mime);
  }

  #described({ generated_seconds: generated = 0, lyrics, title, listeners }) {
    this.#edge = Math.max(this.#edge, generated);
    this.lyrics = lyrics ?? this.lyrics;
    this.title = title ?? this.title;
    this.#listeners = listeners ?? this.#listeners;
  }

  #completed(message) {
    this.#completion = message;
    this.#edge = this.#received;
    if (this.#first !== null) this.#playback.end();
    // Who joined in the middle has not all the bytes; without a secure context there is no crypto.subtle.
    if (message.sha256 && this.#first === 0 && globalThis.crypto?.subtle) this.#verify(message.sha256);
  }

  async #verify(expected) {
    const digest = await crypto.subtle.digest('SHA-256', await this.blob().arrayBuffer());
    const hex = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('');
    this.verified = hex === expected;
    this.#tell('verified', this.verified);
  }

  #settle() {
    const state = this.#derive();
    if (state === this.#state) return;
    this.#state = state;
    this.#tell('state', state);
  }

  #derive() {
    if (this.error) return 'failed';
    if (this.#playback.ended || (this.completed && this.#first === null)) return 'ended';
    if (this.#away && !this.finished) return 'reconnecting';
    if (!this.#next) return 'queued';
    if (this.#playback.blocked) return 'blocked';
    if (!this.#playback.wanted) return 'paused';
    return this.#playback.moving ? 'playing' : 'buffering';
  }

  #tell(name, detail = null) {
    this.dispatchEvent(new CustomEvent(name, { detail }));
  }
}
