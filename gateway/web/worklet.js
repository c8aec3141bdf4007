/* The PCM ring that runs beside the sound card: it plays what it was sent, sample for sample, and counts what it lacks.
 *
 * Invariant: every sample that came is played once, in order; where there is none it plays silence and says so.
 * It knows arrays of samples and no song. Messages in: {samples: [Float32Array]}, {whole}, {clear: epoch}; out:
 * {epoch, played, stored, dry, over}, in samples.
 */

const REPORT_EVERY = 1024; // samples

class Ring extends AudioWorkletProcessor {
  #pieces = []; // of {samples, at}
  #stored = 0;
  #played = 0;
  #epoch = 0;
  #whole = false;
  #dry = true;
  #untold = 0;

  constructor() {
    super();
    this.port.onmessage = ({ data }) => {
      if (data.samples) {
        this.#pieces.push({ samples: data.samples, at: 0 });
        this.#stored += data.samples[0].length;
      } else if (data.whole) {
        this.#whole = true;
        if (!this.#stored) this.#tell(true);
      } else {
        this.#pieces = [];
        this.#stored = this.#played = 0;
        this.#whole = false;
        this.#dry = true;
        this.#epoch = data.clear;
      }
    };
  }

  process(inputs, [output]) {
    const wanted = output[0].length;
    let filled = 0;
    while (filled < wanted && this.#pieces.length) {
      const piece = this.#pieces[0];
      const count = Math.min(wanted - filled, piece.samples[0].length - piece.at);
      output.forEach((channel, i) => {
        const source = piece.samples[Math.min(i, piece.samples.length - 1)];
        channel.set(source.subarray(piece.at, piece.at + count), filled);
      });
      piece.at += count;
      filled += count;
      if (piece.at === piece.samples[0].length) this.#pieces.shift();
    }
    this.#played += filled;
    this.#stored -= filled;
    this.#untold += filled;
    const dry = filled < wanted;
    if (dry !== this.#dry || this.#untold >= REPORT_EVERY) this.#tell(dry);
    return true;
  }

  #tell(dry) {
    this.#dry = dry;
    this.#untold = 0;
    const over = this.#whole && !this.#stored;
    this.port.postMessage({ epoch: this.#epoch, played: this.#played, stored: this.#stored, dry, over });
  }
}

registerProcessor('wavegate-ring', Ring);
