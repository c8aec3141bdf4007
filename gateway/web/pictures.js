/* What the song looks like: the peaks of all that was made, and a halo of what sounds just now.
 *
 * Invariant: nothing is invented. Peaks are decoded from the received frames, the halo is the analyser's spectrum.
 * It draws when told to and reads its colours from the style sheet.
 */

const STEPS = 10; // peaks a second
const DECODE_RATE = 8000; // Hz: enough for a picture, and a sixth of the work
const LONGEST_BATCH = 20; // seconds decoded at once, so that a late joiner's backlog appears piece by piece
const SHORTEST_SPAN = 30; // seconds across the picture while the end is not known
const RAYS = 64;

/** Peaks of the sound so far: `values[n]` is the loudest sample, 0 to 1, of the n-th tenth of a second. */
export class Peaks {
  values = [];
  #context = new OfflineAudioContext(1, 1, DECODE_RATE);
  #waiting = [];
  #before = null; // an mp3 frame borrows bits from the one before it
  #busy = false;

  add(frame, rate) {
    this.#waiting.push({ payload: frame.payload, start: frame.pts / rate, seconds: frame.duration / rate });
    if (!this.#busy) this.#work();
  }

  async #work() {
    this.#busy = true;
    while (this.#waiting.length) {
      let seconds = 0;
      const many = this.#waiting.findIndex((one) => (seconds += one.seconds) > LONGEST_BATCH);
      const batch = this.#waiting.splice(0, many < 0 ? this.#waiting.length : many + 1);
      const lead = this.#before;
      this.#before = batch.at(-1);
      const bytes = await new Blob((lead ? [lead, ...batch] : batch).map((one) => one.payload)).arrayBuffer();
      try {
        const sound = await this.#context.decodeAudioData(bytes);
        this.#measure(sound.getChannelData(0).subarray((lead?.seconds ?? 0) * DECODE_RATE), batch[0].start);
      } catch {
        // Containers cannot be decoded in pieces: such a song has no peaks, and is drawn flat.
      }
    }
    this.#busy = false;
  }

  #measure(samples, start) {
    for (let i = 0; i < samples.length; i++) {
      const at = Math.floor((start + i / DECODE_RATE) * STEPS);
      const level = Math.abs(samples[i]);
      if (!(this.values[at] >= level)) this.values[at] = level;
    }
  }
}

export class Pictures {
  #wave = document.getElementById('wave');
  #halo = document.getElementById('halo');
  #still = matchMedia('(prefers-reduced-motion: reduce)');
  #span = SHORTEST_SPAN;
  #levels = new Float32Array(RAYS);
  #bins = null;

  /** `shown`: {peaks, heard, made, complete, analyser}; times in seconds. */
  draw(shown) {
    const style = getComputedStyle(document.documentElement);
    const ink = (name) => style.getPropertyValue(name);
    this.#drawWave(shown, ink);
    this.#drawHalo(shown.analyser, ink);
  }

  /** Seconds across the picture, of which `made` exist. */
  get span() {
    return this.#span;
  }

  #drawWave({ peaks, heard, made, complete }, ink) {
    const { context, width, height } = prepare(this.#wave);
    const goal = complete ? Math.max(made, 1) : Math.max(SHORTEST_SPAN, made * 1.2);
    this.#span = this.#still.matches ? goal : this.#span + (goal - this.#span) * 0.12;
    const pitch = 5;
    const bars = Math.floor(width / pitch);
    context.lineWidth = 3;
    context.lineCap = 'round';
    const groups = { '--line': new Path2D(), '--rest': new Path2D(), '--accent': new Path2D() };
    for (let bar = 0; bar < bars; bar++) {
      const start = (bar / bars) * this.#span;
      const stop = ((bar + 1) / bars) * this.#span;
      const level = start < made ? loudest(peaks, start, stop) : 0;
      const half = Math.max(0.5, (level * 0.96 * (height - 6)) / 2);
      const x = bar * pitch + pitch / 2;
      const group = groups[start >= made || level === 0 ? '--line' : (start + stop) / 2 <= heard ? '--accent' : '--rest'];
      group.moveTo(x, height / 2 - half);
      group.lineTo(x, height / 2 + half);
    }
    for (const [name, path] of Object.entries(groups)) {
      context.strokeStyle = ink(name);
      context.stroke(path);
    }
  }

  #drawHalo(analyser, ink) {
    const { context, width } = prepare(this.#halo);
    this.#listen(this.#still.matches ? null : analyser);
    const inner = width * 0.29;
    const reach = width * 0.18;
    context.translate(width / 2, width / 2);
    context.lineWidth = 2.2;
    context.lineCap = 'round';
    for (let ray = 0; ray < RAYS; ray++) {
      // Low notes at the bottom, high ones at the top, the same on both sides.
      const level = this.#levels[Math.min(ray, RAYS - 1 - ray) * 2];
      const angle = ((ray + 0.5) / RAYS) * 2 * Math.PI + Math.PI / 2;
      context.strokeStyle = ink(level > 0.02 ? '--accent' : '--line');
      context.globalAlpha = level > 0.02 ? 0.35 + 0.65 * level : 1;
      context.beginPath();
      context.moveTo(Math.cos(angle) * inner, Math.sin(angle) * inner);
      const outer = inner + Math.max(0.1, level * reach);
      context.lineTo(Math.cos(angle) * outer, Math.sin(angle) * outer);
      context.stroke();
    }
  }

  // Bands are equal steps of pitch, 60 Hz to 12 kHz; each falls more slowly than it rises.
  #listen(analyser) {
    if (analyser) {
      this.#bins ??= new Uint8Array(analyser.frequencyBinCount);
      analyser.getByteFrequencyData(this.#bins);
    }
    const bin = (hertz) => Math.round((hertz / (analyser.context.sampleRate / 2)) * this.#bins.length);
    for (let band = 0; band < RAYS; band++) {
      let level = 0;
      if (analyser) {
        const from = bin(60 * 200 ** (band / RAYS));
        const to = Math.max(from + 1, bin(60 * 200 ** ((band + 1) / RAYS)));
        for (let i = from; i < to; i++) level = Math.max(level, this.#bins[i] / 255);
      }
      this.#levels[band] = Math.max(level ** 1.6, this.#levels[band] * 0.86);
    }
  }
}

function loudest(peaks, start, stop) {
  let level = 0;
  const last = Math.max(Math.floor(start * STEPS), Math.ceil(stop * STEPS) - 1);
  for (let i = Math.floor(start * STEPS); i <= last; i++) level = Math.max(level, peaks[i] ?? 0);
  return level;
}

// Sized to the screen's real pixels at every drawing, because a canvas that is resized by the layout alone is blurred.
function prepare(canvas) {
  const scale = devicePixelRatio || 1;
  const { clientWidth: width, clientHeight: height } = canvas;
  if (canvas.width !== Math.round(width * scale)) canvas.width = Math.round(width * scale);
  if (canvas.height !== Math.round(height * scale)) canvas.height = Math.round(height * scale);
  const context = canvas.getContext('2d');
  context.setTransform(scale, 0, 0, scale, 0, 0);
  context.clearRect(0, 0, width, height);
  return { context, width, height };
}
