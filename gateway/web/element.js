/* The sink for browsers that cannot append: the element fetches the song itself, as a file or as HLS.
 *
 * Invariant: without an address, or where that fails, the song is played once it is whole. Chromium's element reads
 * 32 KiB at a time: at the live edge it starts with the first of them (of a WAV with the seventh, so that it is no way
 * around this) and would run dry before the second, so its start is held back by a moment. It is the last resort, and
 * for songs that are well ahead.
 */

import { MediaSink } from './media.js';

const HOLD = 400; // ms between the first block and the start: the blocks of a song in the making may be late by as much

export class ElementSink extends MediaSink {
  #track;
  #from;
  #own = null; // the object url of the whole song
  #held = null; // the timer, while the start is held back

  /** `open()` resolves with the address of the song at the gateway, or null when this browser may not have one. */
  constructor(track, { audio, reports, open, from = null }) {
    super(audio, reports);
    this.#track = track;
    this.#from = from;
    this.listen('waiting', () => this.#waits());
    this.listen('canplay', () => this.#release());
    this.listen('durationchange', () => this.#known() && this.#go());
    this.listen('error', () => (this.#own ? reports.onfail(audio.error) : this.#resign()));
    this.listen('loadedmetadata', () => this.#from && this.seek(this.#from));
    this.#begin(open);
  }

  seek(seconds) {
    this.#from = null;
    this.audio.currentTime = seconds;
  }

  /** Whether the sound comes by the element's own request: not where it was given the whole song. */
  get fetches() {
    return this.#own === null && this.audio.src !== '';
  }

  // The element reads the gateway's address to its end by itself; only without one the whole song is handed to it.
  pump() {
    if (this.#known()) this.#go();
    const busy = this.audio.src && !this.audio.error;
    if (busy || !this.#track.ended || !this.#track.frames.length || this.#own) return;
    this.#own = URL.createObjectURL(this.#track.blob());
    this.#use(this.#own);
  }

  // It is held back, or plays at its own pace: how much the browser has ahead is known in blocks only.
  pace() {}

  close(last) {
    this.#go();
    super.close(last);
    if (this.#own) URL.revokeObjectURL(this.#own);
  }

  // The address has an end: the song is whole, and comes as fast as it is taken.
  #known() {
    return this.#own !== null || this.#track.ended || Number.isFinite(this.audio.duration);
  }

  #hold() {
    this.#held ??= 0;
    this.standStill();
  }

  #release() {
    if (this.#held === 0) this.#held = setTimeout(() => this.#go(), HOLD);
  }

  #go() {
    if (this.#held === null) return;
    clearTimeout(this.#held);
    this.#held = null;
    this.goOn();
  }

  #waits() {
    const { currentTime, seeking } = this.audio;
    if (!currentTime || seeking || this.#held !== null) return;
    if (!this.#known()) this.#hold();
    this.reports.onstall();
  }

  // It goes on where it was, as soon as the song is whole.
  #resign() {
    this.#from = this.time;
    this.pump();
  }

  async #begin(open) {
    const url = await open();
    if (url && !this.#own && !this.stop.signal.aborted) this.#use(url);
  }

  #use(url) {
    // Without asking for leave, Web Audio would read silence from another origin.
    if (!url.startsWith('blob:') && new URL(url).origin !== location.origin) this.audio.crossOrigin = 'anonymous';
    this.audio.src = url;
    if (this.#known()) this.#go();
    else this.#hold();
    this.reports.onready();
  }
}
