/* The clip maker: two handles on the song, fades or a loop, a loudness, and the gateway cuts what they say.
 *
 * Invariant: what is heard as a trial and what is saved are cut by the gateway from the same numbers; a loop is tried as
 * a loop, sample after sample. It is loaded when it is first looked at. It must not know how songs arrive.
 */

import { Wave } from './pictures.js';
import { onLanguage, size, t } from './texts.js';

const FIRST = 10; // seconds of the first suggestion
const SHORTEST = 0.5;
const CROSSFADE = 2; // seconds of a loop's end that go into its beginning, at most half of it
const FORMATS = ['mp3', 'wav', 'ogg', 'mp4', 'flac'];
const LOUDNESS = [-14, -16, -23];

const FORM = `
<form class="clipper" id="clipper" hidden>
  <div class="wave trim">
    <canvas id="clipWave" aria-hidden="true"></canvas>
    <input type="range" name="from" min="0" step="0.1" data-label="clipFrom"><input type="range" name="to" min="0" step="0.1" data-label="clipTo">
  </div>
  <p class="times"><span id="clipSpan"></span><strong id="clipLength"></strong></p>
  <div class="knobs">
    <label class="field fade"><span><span data-text="fadeIn"></span><output name="inward"></output></span><input type="range" name="fadeIn" data-label="fadeIn" min="0" max="5" step="0.1" value="0"></label>
    <label class="field fade"><span><span data-text="fadeOut"></span><output name="outward"></output></span><input type="range" name="fadeOut" data-label="fadeOut" min="0" max="5" step="0.1" value="1"></label>
    <label class="field"><span data-text="loudness"></span><select name="loudness"></select></label>
    <label class="field"><span data-text="format"></span><select name="format"></select></label>
  </div>
  <div class="actions">
    <label class="check"><input type="checkbox" name="loop"><span data-text="loop"></span></label>
    <span class="push"></span>
    <span class="note" id="clipSaid" role="status"></span>
    <button class="quiet" type="button" name="preview"></button>
    <button class="quiet strong" type="submit" data-text="download"></button>
  </div>
</form>`;

export class Clips {
  #rest;
  #onerror;
  #onpreview;
  #song = null;
  #picture = null;
  #wave;
  #form;
  #sound = null; // {context, source} while a trial is heard
  #asked = null; // AbortController
  #shown = false;

  /** `onpreview()` is called when a trial begins, so that the song may be silent. */
  constructor(rest, onerror, onpreview) {
    this.#rest = rest;
    this.#onerror = onerror;
    this.#onpreview = onpreview;
    const place = document.getElementById('clip');
    place.insertAdjacentHTML('beforeend', FORM);
    this.#form = document.getElementById('clipper');
    this.#wave = new Wave(document.getElementById('clipWave'));
    const { from, to, format } = this.#form;
    format.append(...FORMATS.map((name) => new Option(name)));
    from.addEventListener('input', () => this.#moved(from));
    to.addEventListener('input', () => this.#moved(to));
    this.#form.addEventListener('input', () => this.#stop());
    this.#form.addEventListener('change', () => this.#settle());
    for (const knob of [this.#form.fadeIn, this.#form.fadeOut]) knob.addEventListener('input', () => this.#settle());
    this.#form.preview.addEventListener('click', () => (this.#sound || this.#asked ? this.#stop() : this.#try()));
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.#save();
    });
    onLanguage(() => this.#words());
    this.#words();
    requestAnimationFrame(() => this.#draw());
  }

  /** `picture()` gives {peaks, made, complete} of the song. */
  song(song, picture) {
    if (this.#song === song) return;
    this.#stop();
    this.#song = song;
    this.#picture = picture;
    this.#shown = false;
    this.#form.hidden = true;
    this.#form.previousElementSibling.hidden = false;
  }

  #words() {
    const { loudness } = this.#form;
    const before = loudness.value;
    loudness.replaceChildren(new Option(t.asItIs, ''), ...LOUDNESS.map((value) => new Option(`${value} LUFS`.replace('-', '−'), value)));
    loudness.value = before;
    for (const element of this.#form.querySelectorAll('[data-text]')) element.textContent = t[element.dataset.text];
    for (const element of this.#form.querySelectorAll('[data-label]')) element.ariaLabel = t[element.dataset.label];
    this.#settle();
  }

  // As soon as there is something to cut, a piece is suggested.
  #suggest({ made }) {
    const { from, to } = this.#form;
    from.max = to.max = made;
    from.value = 0;
    to.value = Math.min(made, FIRST);
    this.#shown = true;
    this.#form.hidden = false;
    this.#form.previousElementSibling.hidden = true;
    this.#settle();
  }

  #moved(handle) {
    const { from, to } = this.#form;
    const { made } = this.#picture();
    if (Number(to.value) > made) to.value = made;
    const start = Number(from.value);
    const stop = Number(to.value);
    if (handle === from && start > stop - SHORTEST) from.value = stop - SHORTEST;
    if (handle === to && stop < start + SHORTEST) to.value = start + SHORTEST;
    this.#settle();
  }

  #settle() {
    const { from, to, fadeIn, fadeOut, loop, inward, outward, preview } = this.#form;
    const [start, stop] = [Number(from.value), Number(to.value)];
    const put = (id, text) => (document.getElementById(id).textContent = text);
    put('clipSpan', `${exact(start)} – ${exact(stop)}`);
    put('clipLength', `${(stop - start).toFixed(1)} s`);
    from.ariaValueText = exact(start);
    to.ariaValueText = exact(stop);
    for (const [knob, output] of [[fadeIn, inward], [fadeOut, outward]]) {
      output.value = `${Number(knob.value).toFixed(1)} s`;
      knob.disabled = loop.checked;
    }
    preview.textContent = this.#sound ? t.stop : this.#asked ? t.cutting : t.preview;
  }

  #query() {
    const { from, to, fadeIn, fadeOut, loop, loudness } = this.#form;
    const duration = Number(to.value) - Number(from.value);
    const query = { start: from.value, duration: duration.toFixed(3) };
    if (loudness.value) query.normalize = loudness.value;
    if (loop.checked) return { ...query, loop_crossfade: Math.min(CROSSFADE, duration / 2).toFixed(3) };
    // Fades that are longer than the clip together are made shorter alike.
    const fades = Number(fadeIn.value) + Number(fadeOut.value);
    const fit = fades > duration ? (0.98 * duration) / fades : 1;
    return { ...query, fade_in: (fadeIn.value * fit).toFixed(3), fade_out: (fadeOut.value * fit).toFixed(3) };
  }

  async #try() {
    const loop = this.#form.loop.checked;
    const context = new AudioContext(); // inside the click
    this.#onpreview();
    const blob = await this.#cut('wav');
    if (!blob) return context.close();
    const buffer = await context.decodeAudioData(await blob.arrayBuffer());
    const source = new AudioBufferSourceNode(context, { buffer, loop });
    source.connect(context.destination);
    source.onended = () => this.#stop();
    source.start();
    this.#sound = { context, source };
    this.#settle();
  }

  async #save() {
    const extension = this.#form.format.value;
    const blob = await this.#cut(extension);
    if (!blob) return;
    const url = URL.createObjectURL(blob);
    const name = `wavegate-${this.#song.id.slice(-6)}-clip.${extension}`;
    Object.assign(document.createElement('a'), { href: url, download: name }).click();
    setTimeout(() => URL.revokeObjectURL(url), 10_000);
    document.getElementById('clipSaid').textContent = size(blob.size);
  }

  /** The clip, or null when it could not be had or is not wanted any more. */
  async #cut(extension) {
    this.#stop();
    const asked = (this.#asked = new AbortController());
    document.getElementById('clipSaid').textContent = t.cutting;
    this.#settle();
    try {
      return await this.#rest.clip(this.#song.id, extension, this.#query(), asked.signal);
    } catch (problem) {
      if (!asked.signal.aborted) this.#onerror(problem);
      return null;
    } finally {
      if (this.#asked === asked) this.#asked = null;
      document.getElementById('clipSaid').textContent = '';
      this.#settle();
    }
  }

  #stop() {
    this.#asked?.abort();
    this.#asked = null;
    if (this.#sound) {
      this.#sound.source.onended = null;
      this.#sound.context.close();
    }
    this.#sound = null;
    this.#settle();
  }

  #draw() {
    requestAnimationFrame(() => this.#draw());
    if (!this.#song || !this.#form.parentElement.checkVisibility()) return;
    const picture = this.#picture();
    if (!this.#shown && picture.made > 1) this.#suggest(picture);
    if (!this.#shown) return;
    const { from, to } = this.#form;
    this.#wave.span = picture.made; // the handles stand where they are, so the picture may not glide
    this.#wave.draw({ ...picture, complete: true, heard: [Number(from.value), Number(to.value)] });
    if (Number(from.max) !== picture.made) from.max = to.max = picture.made;
  }
}

// 83.4 -> 1:23.4
function exact(seconds) {
  return `${Math.floor(seconds / 60)}:${(seconds % 60).toFixed(1).padStart(4, '0')}`;
}
