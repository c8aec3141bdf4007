/* What a song looks like: the peaks of all that was made, and the spectrum of what sounds just now.
 *
 * Invariant: nothing is invented. Peaks are decoded from the received frames, bands are the analyser's spectrum. Colours
 * come from the style of the canvas: `color` what is heard, `caret-color` what is made, `text-decoration-color` what is
 * still to come. It draws when told to, and knows no page.
 */

const STEPS = 10; // peaks a second
const DECODE_RATE = 8000; // Hz: enough for a picture, and a sixth of the work
const LONGEST_BATCH = 20; // seconds decoded at once, so that a late joiner's backlog appears piece by piece
const SHORTEST_SPAN = 30; // seconds across the picture while the end is not known
const RAYS = 64;

/** Peaks of the sound so far: `values[n]` is the loudest sample, 0 to 1, of the n-th tenth of a second. */
export class Peaks {
  values = [];
  #song;
  #context = new OfflineAudioContext(1, 1, DECODE_RATE);
  #waiting = [];
  #before = null; // an mp3 frame borrows bits from the one before it
  #busy = false;

  /** Listens to the frames of this song from now on. */
  constructor(song) {
    this.#song = song;
    song.addEventListener('frame', ({ detail }) => this.#add(detail));
  }

  #add({ payload, pts, duration }) {
    const { sample_rate: rate, codec, channels } = this.#song.format;
    const start = pts / rate;
    if (codec === 'pcm' && payload.byteOffset % 2 === 0) {
      const samples = new Int16Array(payload.buffer, payload.byteOffset, payload.length >> 1);
      return this.#measure(samples, start, rate * channels, 1 / 32768);
    }
    this.#waiting.push({ payload, start, seconds: duration / rate });
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    while (this.#waiting.length) {
      let seconds = 0;
      const many = this.#waiting.findIndex((one) => (seconds += one.seconds) > LONGEST_BATCH);
      const batch = this.#waiting.splice(0, many < 0 ? this.#waiting.length : many + 1);
      const init = this.#init();
      // A container's pieces stand by themselves behind its head; bare frames want the one before.
      const lead = init.size ? null : this.#before;
      this.#before = batch.at(-1);
      const parts = [init, ...(lead ? [lead, ...batch] : batch).map((one) => one.payload)];
      try {
        const sound = await this.#context.decodeAudioData(await new Blob(parts).arrayBuffer());
        const samples = sound.getChannelData(0).subarray((lead?.seconds ?? 0) * DECODE_RATE);
        this.#measure(samples, batch[0].start, DECODE_RATE, 1);
      } catch {
        // What the browser plays but cannot decode in pieces is drawn flat.
      }
    }
    this.#busy = false;
  }

  // A container's head is whatever the song has beside its frames.
  #init() {
    const whole = this.#song.blob();
    return whole.slice(0, Math.max(0, whole.size - this.#song.stats.bytes));
  }

  #measure(samples, start, rate, scale) {
    for (let i = 0; i < samples.length; i++) {
      const at = Math.floor((start + i / rate) * STEPS);
      const level = Math.abs(samples[i]) * scale;
      if (!(this.values[at] >= level)) this.values[at] = level;
    }
  }
}

/** The song as bars. `span`: seconds across the picture. */
export class Wave {
  span = SHORTEST_SPAN;
  #canvas;
  #still = matchMedia('(prefers-reduced-motion: reduce)');

  constructor(canvas) {
    this.#canvas = canvas;
  }

  /** Times in seconds; `[from, to]` is what counts as heard, `made` exist. */
  draw({ peaks, heard: [from, to], made, complete }) {
    const { context, width, height, colours } = prepare(this.#canvas);
    const goal = complete ? Math.max(made, 1) : Math.max(SHORTEST_SPAN, made * 1.2);
    this.span = this.#still.matches ? goal : this.span + (goal - this.span) * 0.12;
    const pitch = 5;
    const bars = Math.floor(width / pitch);
    context.lineWidth = 3;
    context.lineCap = 'round';
    const [heard, rest, empty] = [new Path2D(), new Path2D(), new Path2D()];
    for (let bar = 0; bar < bars; bar++) {
      const start = (bar / bars) * this.span;
      const stop = ((bar + 1) / bars) * this.span;
      const level = start < made ? loudest(peaks, start, stop) : 0;
      const half = Math.max(0.5, (level * 0.96 * (height - 6)) / 2);
      const x = bar * pitch + pitch / 2;
      const middle = (start + stop) / 2;
      const path = start >= made || level === 0 ? empty : middle >= from && middle <= to ? heard : rest;
      path.moveTo(x, height / 2 - half);
      path.lineTo(x, height / 2 + half);
    }
    [empty, rest, heard].forEach((path, index) => {
      context.strokeStyle = [colours.empty, colours.rest, colours.heard][index];
      context.stroke(path);
    });
  }
}

/** Levels, 0 to 1, of bands of equal steps of pitch, 60 Hz to 12 kHz; each falls more slowly than it rises. */
export class Bands {
  levels;
  #bins = null;

  constructor(count) {
    this.levels = new Float32Array(count);
  }

  /** Listens once; of null all bands fall. */
  listen(analyser) {
    if (analyser) {
      this.#bins ??= new Uint8Array(analyser.frequencyBinCount);
      analyser.getByteFrequencyData(this.#bins);
    }
    const count = this.levels.length;
    const bin = (hertz) => Math.round((hertz / (analyser.context.sampleRate / 2)) * this.#bins.length);
    for (let band = 0; band < count; band++) {
      let level = 0;
      if (analyser) {
        const from = bin(60 * 200 ** (band / count));
        const to = Math.max(from + 1, bin(60 * 200 ** ((band + 1) / count)));
        for (let i = from; i < to; i++) level = Math.max(level, this.#bins[i] / 255);
      }
      this.levels[band] = Math.max(level ** 1.6, this.levels[band] * 0.86);
    }
  }
}

/** The bands as rays around a circle. */
export class Halo {
  #canvas;
  #bands = new Bands(RAYS);

  constructor(canvas) {
    this.#canvas = canvas;
  }

  draw(analyser) {
    const { context, width, colours } = prepare(this.#canvas);
    this.#bands.listen(analyser);
    const inner = width * 0.29;
    const reach = width * 0.18;
    context.translate(width / 2, width / 2);
    context.lineWidth = 2.2;
    context.lineCap = 'round';
    for (let ray = 0; ray < RAYS; ray++) {
      // Low notes at the bottom, high ones at the top, the same on both sides.
      const level = this.#bands.levels[Math.min(ray, RAYS - 1 - ray) * 2];
      const angle = ((ray + 0.5) / RAYS) * 2 * Math.PI + Math.PI / 2;
      context.strokeStyle = level > 0.02 ? colours.heard : colours.empty;
      context.globalAlpha = level > 0.02 ? 0.35 + 0.65 * level : 1;
      context.beginPath();
      context.moveTo(Math.cos(angle) * inner, Math.sin(angle) * inner);
      const outer = inner + Math.max(0.1, level * reach);
      context.lineTo(Math.cos(angle) * outer, Math.sin(angle) * outer);
      context.stroke();
    }
  }
}

/** A clean canvas in its real pixels: one that is resized by the layout alone is blurred. */
export function prepare(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  const style = getComputedStyle(canvas);
  const colours = { heard: style.color, rest: style.caretColor, empty: style.textDecorationColor };
  return { context, width, height, colours };
}

function loudest(peaks, start, stop) {
  let level = 0;
  const last = Math.max(Math.floor(start * STEPS), Math.ceil(stop * STEPS) - 1);
  for (let i = Math.floor(start * STEPS); i <= last; i++) level = Math.max(level, peaks[i] ?? 0);
  return level;
}
