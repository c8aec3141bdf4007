/* The sink for browsers that cannot append: the element fetches the song itself, as a file or as HLS.
 *
 * Invariant: without an address, or where that fails, the song is played once it is whole. Chromium's element reads
 * 32 KiB at a time: it starts late at the live edge, so this is the last resort and for songs that are well ahead.
 */

import { MediaSink } from './media.js';

export class ElementSink extends MediaSink {
  #track;
  #from;
  #own = null; // the object url of the whole song

  /** `open()` resolves with the address of the song at the gateway, or null when this browser may not have one. */
  constructor(track, { audio, reports, open, from = null }) {
    super(audio, reports);
    this.#track = track;
    this.#from = from;
    this.listen('waiting', () => audio.currentTime > 0 && !audio.seeking && reports.onstall());
    this.listen('error', () => (this.#own ? reports.onfail(audio.error) : this.#resign()));
    this.listen('loadedmetadata', () => this.#from && this.seek(this.#from));
    this.#begin(open);
  }

  seek(seconds) {
    this.#from = null;
    this.audio.currentTime = seconds;
  }

  // The element reads the gateway's address to its end by itself; only without one the whole song is handed to it.
  pump() {
    const busy = this.audio.src && !this.audio.error;
    if (busy || !this.#track.ended || !this.#track.frames.length || this.#own) return;
    this.#own = URL.createObjectURL(this.#track.blob());
    this.#use(this.#own);
  }

  close(last) {
    super.close(last);
    if (this.#own) URL.revokeObjectURL(this.#own);
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
    this.reports.onready();
  }
}
