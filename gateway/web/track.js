/* The sound that has arrived: payloads in the order of the song, each with its place in it.
 *
 * Invariant: a frame is kept once and never cut; what has arrived stays, so that seeking back needs no network, and a
 * sink that starts anew finds everything. It knows bytes and seconds; no socket and no element.
 */

const SLACK = 0.002; // seconds that rounding may put between two frames which follow each other

export class Track {
  format = null; // as announced
  init = null;
  frames = []; // {payload, start, seconds, seq}
  bytes = 0;
  exact = true; // whether the times are told, or only guessed from the number of bytes
  whole = true; // from the song's first frame on, without a gap
  ended = false;

  get start() {
    return this.frames[0]?.start ?? 0;
  }

  /** Seconds of the song up to the newest sound here. */
  get end() {
    const last = this.frames.at(-1);
    return last ? last.start + last.seconds : 0;
  }

  add(frame) {
    const due = this.frames.length ? this.frames.at(-1).seq + 1 : 0;
    if (frame.seq !== due) this.whole = false;
    this.frames.push(frame);
    this.bytes += frame.payload.length;
  }

  /** Where the frame is that sounds at this second; the first one when nobody can tell. */
  at(seconds) {
    let low = 0;
    let high = this.exact ? this.frames.length : 1;
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (this.frames[middle].start <= seconds) low = middle;
      else high = middle;
    }
    return low;
  }

  /** Frames from `index` on that follow each other without a gap, up to about `most` bytes: {payloads, next, end}. */
  run(index, most) {
    const payloads = [];
    let { start: end } = this.frames[index];
    for (let size = 0; index < this.frames.length && size < most; index++) {
      const { payload, start, seconds } = this.frames[index];
      if (Math.abs(start - end) > SLACK) break;
      payloads.push(payload);
      size += payload.length;
      end = start + seconds;
    }
    return { payloads, next: index, end };
  }

  /** Whether the frame at `index` begins where `end` is. */
  follows(index, end) {
    return Math.abs(this.frames[index].start - end) <= SLACK;
  }

  blob() {
    const payloads = this.frames.map(({ payload }) => payload);
    return new Blob(this.init ? [this.init, ...payloads] : payloads, { type: this.format?.mime.split(';')[0] });
  }

  /** Whether all this has that SHA-256; null where it cannot be told: without a secure context, or not whole. */
  async verify(expected) {
    if (!this.whole || !expected || !globalThis.crypto?.subtle) return null;
    const digest = await crypto.subtle.digest('SHA-256', await this.blob().arrayBuffer());
    return Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, '0')).join('') === expected;
  }
}

export function joined(payloads) {
  const whole = new Uint8Array(payloads.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const payload of payloads) {
    whole.set(payload, at);
    at += payload.length;
  }
  return whole;
}
