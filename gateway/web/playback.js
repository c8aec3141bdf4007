/* Whether the song sounds: wanted or not, blocked or not, moving or not, since when, and how often it ran dry.
 *
 * Invariant: `moving` means that the clock of the sound has really advanced; `playing` events are not believed, for
 * they fire before anything is heard. It holds the one sink; it knows no gateway and no messages.
 */

import { appendable } from './capabilities.js';
import { ElementSink } from './element.js';
import { Lead } from './lead.js';
import { MseSink } from './mse.js';
import { PcmSink } from './pcm.js';

const SINKS = { mse: MseSink, worklet: PcmSink, element: ElementSink };
const POLL = 10; // ms between two looks at the clock while the first sound is awaited

export class Playback {
  wanted = false;
  blocked = false;
  moving = false;
  firstSoundMs = null; // from the play() that brought it
  stalls = 0;
  name; // of the sink

  #track;
  #audio;
  #own; // whether the element was made for this song
  #worklet;
  #reports;
  #sink;
  #lead;
  #slow = false;
  #poll = null;
  #dryAt = null;
  #dryMs = 0;

  /** `options`: {sink, audio, startBuffer, maxBuffer, worklet}; `reports`: {open, onchange, onstall, onfail}. */
  constructor(track, { sink, audio, startBuffer, maxBuffer, worklet }, reports) {
    this.name = sink;
    this.#track = track;
    this.#own = !audio;
    this.#audio = audio ?? new Audio();
    this.#worklet = worklet;
    this.#lead = new Lead({ startBuffer, maxBuffer }, () => this.#sink.pump());
    this.#reports = reports;
    this.#sink = this.#make(null);
  }

  get ended() {
    return this.#sink.ended;
  }

  get time() {
    return this.#sink.time;
  }

  /** Seconds of the song up to the newest sound that is here. */
  get end() {
    return this.#track.exact ? this.#track.end : this.#sink.end;
  }

  /** Seconds that can be heard from here on without another byte. */
  get ahead() {
    return Math.max(0, this.#sink.ahead, this.end - this.time);
  }

  get stallSeconds() {
    return (this.#dryMs + (this.#dryAt === null ? 0 : performance.now() - this.#dryAt)) / 1000;
  }

  /** Whether it is played a little slower than the song is, for a while. */
  get slow() {
    return this.#slow;
  }

  /** Whether the element fetches what is heard, whatever arrives here. */
  get fetches() {
    return this.#sink.fetches ?? false;
  }

  get volume() {
    return this.#audio.volume;
  }

  set volume(level) {
    this.#audio.volume = level;
    this.#sink.loud();
  }

  get muted() {
    return this.#audio.muted;
  }

  set muted(flag) {
    this.#audio.muted = flag;
    this.#sink.loud();
  }

  /** Resolves once it plays or is known to be blocked. */
  play() {
    this.wanted = true;
    if (this.firstSoundMs === null) this.#awaitFirstSound();
    return this.#begin();
  }

  pause() {
    this.wanted = false;
    this.#sink.pause();
    this.#reports.onchange();
  }

  /** Goes to that second of the song, or as near as what is here allows. */
  seek(seconds) {
    this.#sink.seek(Math.max(this.#track.start, Math.min(seconds, this.end - 0.05)));
  }

  /** The format is known, the track has grown, or it has ended. */
  pump() {
    const { format } = this.#track;
    const fits = !format || { mse: appendable(format.mime), worklet: format.codec === 'pcm' }[this.name] !== false;
    if (!fits) this.#exchange(this.#track, appendable(format.mime) ? 'mse' : 'element', null);
    if (this.#track.frames.length) this.#lead.grew(this.#track, this.moving ? this.#sink.ahead : null);
    if (this.#track.ended) this.#lead.end();
    this.#pace();
    this.#sink.pump();
  }

  /** Plays another track of the same song, from this second on, or from its first sound. */
  restart(track, from) {
    this.#exchange(track, this.name, from);
  }

  close() {
    clearInterval(this.#poll);
    this.#lead.end();
    this.#pace();
    this.#sink.close(this.#own);
  }

  analyser() {
    return this.firstSoundMs === null ? null : this.#sink.analyser(this.moving);
  }

  #make(from) {
    const reports = {
      onchange: (event) => this.#changed(event),
      onready: () => this.wanted && this.#begin(),
      onfail: (problem) => this.#reports.onfail(problem),
      onstall: () => {
        this.stalls += 1;
        this.#dryAt ??= performance.now();
        this.#reports.onstall(this.#lead.ranDry());
      },
    };
    const { open } = this.#reports;
    const enough = (stock) => this.#lead.enough(stock);
    const means = { audio: this.#audio, reports, enough, worklet: this.#worklet, open, from };
    return new SINKS[this.name](this.#track, means);
  }

  #exchange(track, name, from) {
    this.#sink.pace((this.#slow = false));
    this.#sink.close();
    this.#track = track;
    this.name = name;
    this.moving = false;
    this.#sink = this.#make(from);
    if (this.wanted) this.#begin();
  }

  #pace() {
    if (this.#slow === this.#lead.slow) return;
    this.#slow = this.#lead.slow;
    this.#sink.pace(this.#slow);
  }

  async #begin() {
    this.blocked = !(await this.#sink.play());
    this.#reports.onchange();
  }

  #awaitFirstSound() {
    const asked = performance.now();
    let last = { at: asked, time: this.time };
    clearInterval(this.#poll);
    this.#poll = setInterval(() => {
      const now = { at: performance.now(), time: this.time };
      const step = now.time - last.time;
      const jump = step > (now.at - last.at) / 1000 + 0.1; // a seek to where a late joiner begins is not sound
      last = now;
      if (step <= 0 || jump) return;
      clearInterval(this.#poll);
      this.firstSoundMs = now.at - asked;
      this.#changed('timeupdate');
    }, POLL);
  }

  #changed(event) {
    const { running, ended } = this.#sink;
    this.moving = event === 'timeupdate' && this.firstSoundMs !== null && running;
    if ((this.moving || ended) && this.#dryAt !== null) {
      this.#dryMs += performance.now() - this.#dryAt;
      this.#dryAt = null;
    }
    if (event === 'pause' && !ended) this.wanted = false; // headphones and media keys pause behind our back
    this.#reports.onchange();
  }
}
