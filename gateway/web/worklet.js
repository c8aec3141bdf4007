/* The PCM ring that runs beside the sound card: it plays what it was sent, sample for sample, and counts what it lacks.
 *
 * Invariant: every sample that came is played once, in order; where there is none it plays silence and says so. At
 * another pace than 1 what is heard lies between the samples, and is as smooth as they are.
 * It knows arrays of samples and no song. Messages in: {samples: [Float32Array]}, {whole}, {pace}, {clear: epoch}; out:
 * {epoch, played, stored, dry, over}, in samples.
 */

const REPORT_EVERY = 1024; // samples
const NEAR = 0.1; // of the way between two samples
const AROUND = 2; // samples that are looked at behind a place

class Ring extends AudioWorkletProcessor {
  #pieces = []; // of {samples, at}
  #stored = 0;
  #played = 0;
  #epoch = 0;
  #whole = false;
  #dry = true;
  #untold = 0;
  #pace = 1;
  #last = 1; // the pace that was not 1, if there was one
  #phase = 0; // how far behind the next sample the sound is, of the way to the one after it
  #before = []; // the last sample of each channel

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.samples) {
        this.#pieces.push({ samples: data.samples, at: 0 });
        this.#stored += data.samples[0].length;
      } else if (data.whole) {
        this.#whole = true;
        if (!this.#stored) this.#tell(true);
      } else if (data.pace) {
        this.#pace = data.pace;
        if (data.pace !== 1) this.#last = data.pace;
      } else {
        this.#pieces = [];
        this.#stored = this.#played = this.#phase = 0;
        this.#before = [];
        this.#whole = false;
        this.#dry = true;
        this.#epoch = data.clear;
      }
    };
  }

  process(inputs, [output]) {
    const wanted = output[0].length;
    const filled = this.#between(output, wanted) ?? this.#plain(output, wanted);
    const dry = filled < wanted;
    if (dry !== this.#dry || this.#untold >= REPORT_EVERY) this.#tell(dry);
    return true;
  }

  #plain(output, wanted) {
    this.#phase = 0;
    const filled = Math.min(wanted, this.#stored);
    output.forEach((channel, i) => this.#copy(i, filled, (part, at) => channel.set(part, at)));
    this.#drop(filled, output.length);
    return filled;
  }

  // Undefined when the samples themselves are due: at the song's pace, or because there are too few.
  #between(output, wanted) {
    if (this.#pace === 1 && this.#phase < NEAR) return undefined; // as good as on a sample: from here on it is on it
    const rate = this.#pace === 1 ? this.#last : this.#pace;
    const passed = Math.floor(this.#phase + wanted * rate);
    if (this.#stored < passed + AROUND + 1) return undefined;
    output.forEach((channel, i) => {
      const near = new Float32Array(passed + AROUND + 2);
      this.#copy(i, passed + AROUND + 1, (part, at) => near.set(part, at + 1));
      near[0] = this.#before[i] ?? near[1];
      for (let k = 0; k < wanted; k++) channel[k] = curve(near, this.#phase + k * rate);
    });
    this.#phase = this.#phase + wanted * rate - passed;
    this.#drop(passed, output.length);
    return wanted;
  }

  /** Calls `put(samples, at)` for the first `count` of a channel. */
  #copy(channel, count, put) {
    for (let i = 0, at = 0; at < count; i++) {
      const { samples, at: begin } = this.#pieces[i];
      const part = samples[Math.min(channel, samples.length - 1)].subarray(begin, begin + count - at);
      put(part, at);
      at += part.length;
    }
  }

  #drop(count, channels) {
    this.#played += count;
    this.#stored -= count;
    this.#untold += count;
    for (let left = count; left > 0; ) {
      const piece = this.#pieces[0];
      const size = Math.min(left, piece.samples[0].length - piece.at);
      piece.at += size;
      left -= size;
      if (!left) {
        const last = (i) => piece.samples[Math.min(i, piece.samples.length - 1)][piece.at - 1];
        this.#before = Array.from({ length: channels }, (_, i) => last(i));
      }
      if (piece.at === piece.samples[0].length) this.#pieces.shift();
    }
  }

  #tell(dry) {
    this.#dry = dry;
    this.#untold = 0;
    const over = this.#whole && !this.#stored;
    this.port.postMessage({ epoch: this.#epoch, played: this.#played, stored: this.#stored, dry, over });
  }
}

// A cubic through four samples (Catmull-Rom); place 0 is the second of them.
function curve(near, place) {
  const i = Math.floor(place);
  const x = place - i;
  const [a, b, c, d] = [near[i], near[i + 1], near[i + 2], near[i + 3]];
  return b + 0.5 * x * (c - a + x * (2 * a - 5 * b + 4 * c - d + x * (3 * (b - c) + d - a)));
}

registerProcessor('wavegate-ring', Ring);
