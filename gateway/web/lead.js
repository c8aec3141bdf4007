/* When there is enough for the sound to begin, and whether it has to be played a little slower to last.
 *
 * Invariant: a line that brings a song as fast as it is heard is given a head start of one late piece, counted in time
 * and not in stock; where the stock grows thin all the same, the pace is held back until it is thick again, and no
 * longer. It knows seconds; no element, no socket and no song.
 */

const PLENTY = 0.5; // seconds in stock with which it begins at once
const HEAD_START = 0.26; // seconds from the first piece on: the next one may be late by as much
const USUAL = 0.04; // seconds that pieces are late on a good line, for frames that are not whole yet
const THIN = 0.08; // seconds left when a piece came: the next one may come too late
const FAIR = 0.25; // seconds left that have to be there each time,
const CALM = 2; // for so many seconds, before the pace is the song's own again

export class Lead {
  slow = false;

  #target;
  #most;
  #given; // the listener has said how much to hold back, and that the pace is not to be touched
  #wake;
  #now;
  #first = null; // {at, start} of what came first
  #end = null; // up to where it had come the time before
  #late = 0; // seconds that a piece has been late, at most
  #thin = 0;
  #timer = null;
  #dry = false;

  /** `wake()` is called when there may be enough though nothing came; `now` is in ms. */
  constructor({ startBuffer, maxBuffer = 2 }, wake, now = () => performance.now()) {
    this.#target = startBuffer ?? PLENTY;
    this.#most = maxBuffer;
    this.#given = startBuffer !== undefined;
    this.#wake = wake;
    this.#now = now;
  }

  /** There is sound from `start` to `end` of the song now; `left` seconds were to be heard yet, null: it has not begun. */
  grew({ start, end }, left) {
    const now = this.#now();
    this.#first ??= { at: now, start };
    this.#late = Math.max(this.#late, (now - this.#first.at) / 1000 - (this.#end ?? start) + this.#first.start);
    this.#end = end;
    if (left === null || this.#given) return;
    if (left < FAIR) this.#thin = now;
    if (left < THIN) this.slow = true;
    else if (now - this.#thin > CALM * 1000) this.slow = false;
  }

  /** Whether a sound may begin, or begin again, with so many seconds in stock. */
  enough(stock) {
    if (stock >= this.#target) return this.#begin();
    if (this.#given || this.#dry || this.#first === null) return false;
    const lead = HEAD_START + Math.max(0, this.#late - USUAL);
    const wait = this.#first.at + lead * 1000 - this.#now();
    if (wait <= 0 && stock >= HEAD_START) return this.#begin();
    if (wait > 0) this.#timer ??= setTimeout(() => this.#wake((this.#timer = null)), wait);
    return false;
  }

  /** It ran dry: the next beginning waits for more. Returns the seconds. */
  ranDry() {
    if (this.#dry || this.#given) this.#target = Math.min(this.#most, this.#target * 2);
    this.#dry = true;
    return this.#target;
  }

  /** Nothing more will come, or nobody listens any more. */
  end() {
    clearTimeout(this.#timer);
    this.slow = false;
  }

  #begin() {
    clearTimeout(this.#timer);
    this.#timer = null;
    return true;
  }
}
