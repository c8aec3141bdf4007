/* The default sink: MediaSource, fed from the track while the song is still being made.
 *
 * Invariant: the element's time is the song's time; frames are appended in order and none is left out, not even when
 * the browser's buffer is full; what follows without a gap is appended without one. It knows no socket and no song.
 */

import { MediaSink } from './media.js';
import { joined } from './track.js';

const KEEP_BEHIND = 30; // seconds behind the playhead that survive when the buffer is full
const LARGEST_PIECE = 512 * 1024; // a late joiner's backlog is appended in pieces of this size, not frame by frame

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource;

export class MseSink extends MediaSink {
  #track;
  #enough;
  #source = new Source();
  #url;
  #buffer = null;
  #cursor = 0; // the frame to be appended next
  #end = null; // seconds of the song up to which was appended; null: what comes next begins anew
  #from; // a second of the song from which on is to be appended, as soon as it is there
  #landing = 0; // where the playhead is to be put once something was appended
  #holding = true;
  #ready = null; // the second of the song from which on the element has it, and stands still until there is enough

  /** Takes the element over at once, inside the click. `enough(seconds)` tells whether it may begin with these. */
  constructor(track, { audio, reports, enough, from = null }) {
    super(audio, reports);
    this.#track = track;
    this.#enough = enough;
    this.#from = from;
    // A managed source never opens while the element might be handed to a television.
    if (Source === globalThis.ManagedMediaSource) audio.disableRemotePlayback = true;
    for (const name of ['sourceopen', 'startstreaming']) this.listen(name, () => this.pump(), this.#source);
    this.listen('waiting', () => this.#waits());
    this.listen('timeupdate', () => this.pump());
    this.listen('error', () => reports.onfail(audio.error));
    this.#url = URL.createObjectURL(this.#source);
    audio.src = this.#url;
  }

  seek(seconds) {
    const { audio } = this;
    const range = audio.buffered;
    let here = false;
    for (let i = 0; i < range.length; i++) here ||= seconds >= range.start(i) && seconds < range.end(i);
    this.#from = here ? null : seconds;
    if (audio.readyState > 0) audio.currentTime = seconds;
    this.pump();
  }

  pump() {
    const { frames, ended, format, end } = this.#track;
    if (!format || this.#source.readyState === 'closed') return;
    if (!this.#buffer) this.#open();
    if (this.#buffer.updating || this.#source.streaming === false) return; // managed sources say when they want more
    if (this.#from !== null && frames.length) {
      if (end <= this.#from && !ended) return;
      this.#cursor = this.#track.at(this.#from);
      this.#landing = this.#from;
      this.#from = this.#end = null;
    }
    const due = frames[this.#cursor];
    if (this.#holding && (due || this.#ready !== null)) {
      const start = this.#ready ?? due.start;
      if (ended || this.#enough(end - start)) this.#begin();
      else if (this.audio.played.length) return;
      else this.#getReady(start);
    }
    if (due) this.#append();
    else if (ended && this.#source.readyState === 'open') this.#source.endOfStream();
  }

  close(last) {
    super.close(last);
    URL.revokeObjectURL(this.#url);
  }

  // Before the very first sound the element has what there is: to open a decoder and a device takes it up to 0.1 s.
  #getReady(start) {
    this.#ready = start;
    this.standStill();
  }

  #begin() {
    this.#holding = false;
    this.#ready = null;
    this.goOn();
  }

  #open() {
    this.#buffer = this.#source.addSourceBuffer(this.#track.format.mime);
    this.listen('updateend', () => this.#updated(), this.#buffer);
  }

  #append() {
    const track = this.#track;
    const { payloads, next, end } = track.run(this.#cursor, LARGEST_PIECE);
    const anew = this.#end === null || !track.follows(this.#cursor, this.#end);
    if (anew) {
      if (this.#source.readyState === 'open') this.#buffer.abort();
      // Raw codec frames carry no time of their own: the offset makes the element's clock the song's clock.
      if (this.#buffer.mode === 'sequence') this.#buffer.timestampOffset = track.frames[this.#cursor].start;
    }
    try {
      this.#buffer.appendBuffer(joined(anew && track.init ? [track.init, ...payloads] : payloads));
    } catch (problem) {
      if (problem.name !== 'QuotaExceededError') throw problem;
      return this.#makeRoom(); // the piece comes again, now or when the playhead has moved on
    }
    this.#cursor = next;
    this.#end = end;
  }

  #makeRoom() {
    const until = this.audio.currentTime - KEEP_BEHIND;
    const { buffered } = this.#buffer;
    if (buffered.length && until > buffered.start(0)) this.#buffer.remove(0, until);
  }

  #updated() {
    const { audio } = this;
    const range = this.#buffer.buffered;
    for (let i = 0; i < range.length && this.#landing !== null; i++) {
      if (range.end(i) <= this.#landing) continue;
      // Whoever joined in the middle starts there.
      const place = Math.max(this.#landing, range.start(i));
      if (Math.abs(audio.currentTime - place) > 0.001) audio.currentTime = place;
      this.#landing = null;
    }
    this.#leap(this.audio.readyState <= 2);
    this.pump();
  }

  // `waiting` also fires at the start, on every seek, and before a hole in the song that nothing will fill.
  #waits() {
    const { currentTime, buffered, seeking } = this.audio;
    const begun = buffered.length && currentTime > buffered.start(0);
    const done = this.#track.ended && this.#cursor >= this.#track.frames.length;
    if (!begun || seeking || this.#leap(true) || done) return;
    this.#holding = true;
    this.reports.onstall();
  }

  // The element stops a little before the hole.
  #leap(starving) {
    const { currentTime, buffered, seeking } = this.audio;
    const due = this.#track.frames[this.#cursor];
    const coming = this.#landing !== null || this.#from !== null || (due && due.start <= currentTime);
    if (coming || seeking || !starving) return false;
    for (let i = 1; i < buffered.length; i++) {
      if (currentTime >= buffered.start(i)) continue;
      this.audio.currentTime = buffered.start(i);
      return true;
    }
    return false;
  }
}
