/* The form: what to sing or say, in which voice, by which model, in which format; a live count; mistakes at their field.
 *
 * Invariant: it never refuses what the gateway would take. Only an empty field is answered here; everything else is
 * for the gateway to judge, before anything is spent. It calls `onsubmit(input, options)` and plays nothing.
 */

import { measure } from './counting.js';
import { EXAMPLES } from './examples.js';
import { language, onLanguage, t } from './texts.js';
import { Wavegate } from './wavegate.js';

const PREVIEW = 'fun-music-preview'; // wants a prompt, and chooses the voice by itself
const SONGS = ['fun-music-v1', PREVIEW];
// Of speech: the longest text in characters, and voices to begin with.
const SPEECH = {
  'cosyvoice-v3-flash': { most: 20_000, voices: ['longanyang', 'longanhuan'] },
  'qwen3-tts-flash': { most: 600, voices: ['Cherry', 'Ethan'] },
};
const TAGS = ['intro', 'verse', 'chorus', 'bridge', 'outro'];
const ALL_FORMATS = ['mp3', 'webm', 'mp4', 'aac', 'ogg', 'flac', 'wav', 'pcm'];

export class Composer {
  #onsubmit;
  #form = document.getElementById('composer');
  #part = (id) => document.getElementById(id);
  #drafts = { prompt: '', lyrics: '', speech: '' };
  #kind = 'prompt';
  #problem = null; // a key of the table's `empty`, or a sentence
  #support = Wavegate.supports();

  constructor(onsubmit) {
    this.#onsubmit = onsubmit;
    const form = this.#form;
    form.text.addEventListener('input', () => this.#counted());
    form.text.addEventListener('keydown', (event) => {
      const tag = TAGS[Number(/^Digit([1-5])$/.exec(event.code)?.[1]) - 1];
      if (!event.altKey || !tag || this.#kind !== 'lyrics') return;
      event.preventDefault();
      this.#tag(tag);
    });
    form.addEventListener('change', () => this.#chosen());
    this.#part('chips').addEventListener('click', ({ target }) => this.#example(target.dataset.index));
    this.#part('tags').addEventListener('click', ({ target }) => target.dataset.tag && this.#tag(target.dataset.tag));
    this.#part('tags').append(...TAGS.map((tag) => button(`[${tag}]`, { tag })));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      this.submit();
    });
    onLanguage(() => this.#spoken());
    this.#modelled();
    this.#spoken();
  }

  submit() {
    if (this.#form.go.ariaBusy === 'true') return;
    this.problem('');
    const { text, model, mode, wish } = this.#form;
    if (!text.value.trim()) return this.problem(this.#kind);
    const format = wish.value === 'auto' ? {} : { format: wish.value };
    this.#onsubmit(this.#input(), { model: model.value, mode: this.#kind === 'speech' ? 'stream' : mode.value, ...format });
  }

  /** While the gateway is asked, a second click must not buy a second song. */
  busy(flag) {
    this.#form.go.ariaBusy = String(flag);
    this.#form.go.textContent = flag ? t.asking : this.#kind === 'speech' ? t.say : t.go;
  }

  /** Tells what is wrong at the field; an empty sentence takes it back. */
  problem(sentence) {
    this.#problem = sentence;
    this.#part('problem').textContent = t.empty[sentence] ?? sentence;
    this.#form.classList.toggle('wrong', Boolean(sentence));
    this.#form.text.ariaInvalid = String(Boolean(sentence));
    if (sentence) this.#form.text.focus();
  }

  /** What is wrong with the length, in this language; null where nothing is. */
  tooMuch() {
    const { found, least, most, unit, fit } = this.#measured();
    return fit === 'good' || fit === 'none' ? null : t.wrong(t.fit[fit], found, `${least}–${most} ${t.units[unit]}`);
  }

  #input() {
    const { text, voice, speaker, watermark } = this.#form;
    const words = text.value.trim();
    if (this.#kind === 'speech') return { text: words, voice: speaker.value.trim() };
    const input = { [this.#kind]: words };
    if (voice.value === 'instrumental') input.is_instrumental = true;
    else if (voice.value !== 'sung') input.gender = voice.value;
    if (watermark.checked) input.enable_aigc_watermark = true;
    return input;
  }

  #measured() {
    const { text, mode, model } = this.#form;
    if (this.#kind !== 'speech') return measure(text.value, mode.value, this.#kind);
    const found = [...text.value.trim()].length;
    const { most } = SPEECH[model.value];
    return { found, least: 1, most, unit: 'characters', fit: found === 0 ? 'none' : found > most ? 'long' : 'good' };
  }

  // Choices that exclude each other: lyrics are sung, and the preview model takes neither lyrics alone nor a gender.
  #chosen() {
    const { kind, model, voice } = this.#form;
    if (kind.value !== this.#kind) {
      this.#drafts[this.#kind] = this.#form.text.value;
      this.#kind = kind.value;
      this.#form.text.value = this.#drafts[this.#kind];
      this.#modelled();
      this.#laidOut();
    }
    const lyrics = this.#kind === 'lyrics';
    const speech = this.#kind === 'speech';
    this.#part('sung').hidden = this.#part('marked').hidden = speech;
    this.#part('spoken').hidden = !speech;
    this.#form.mode.parentElement.hidden = speech;
    if (speech) this.#speakers(SPEECH[model.value].voices);
    const preview = model.value === PREVIEW;
    for (const radio of voice) {
      radio.disabled = radio.value === 'instrumental' && lyrics;
      if (radio.value !== 'instrumental') radio.parentElement.hidden = preview === (radio.value !== 'sung');
    }
    const chosen = [...voice].find((radio) => radio.checked);
    if (chosen.disabled || chosen.parentElement.hidden) voice.value = preview ? 'sung' : 'female';
    this.#picked();
    this.#counted();
  }

  #modelled() {
    const models = this.#kind === 'speech' ? Object.keys(SPEECH) : SONGS;
    const { model } = this.#form;
    const before = model.value;
    model.replaceChildren(...models.map((name) => new Option(name)));
    if (models.includes(before)) model.value = before;
    model.options[1].disabled = this.#kind === 'lyrics';
    if (this.#kind === 'lyrics') model.selectedIndex = 0;
  }

  #speakers(voices) {
    const { speaker } = this.#form;
    const known = Object.values(SPEECH).flatMap(({ voices: names }) => names);
    if (!speaker.value || (known.includes(speaker.value) && !voices.includes(speaker.value))) speaker.value = voices[0];
    this.#part('speakers').replaceChildren(...voices.map((name) => new Option(name)));
  }

  #spoken() {
    const { wish } = this.#form;
    const before = wish.value || 'auto';
    const options = ALL_FORMATS.map((name) => {
      const { mse, element } = this.#playable(name);
      const option = new Option(mse || element ? name : `${name} (${t.formatNever})`, name);
      option.disabled = !mse && !element;
      return option;
    });
    wish.replaceChildren(new Option(t.auto, 'auto'), ...options);
    wish.value = before;
    this.#laidOut();
    this.busy(this.#form.go.ariaBusy === 'true');
    this.problem(this.#problem ?? '');
    this.#chosen();
  }

  #playable(name) {
    const row = this.#support.formats.find((one) => one.codec === name);
    if (name === 'pcm') return { mse: this.#support.worklet, element: false };
    return row ?? { mse: false, element: false };
  }

  // What is folded away is still told, in a line.
  #picked() {
    const { model, mode, wish } = this.#form;
    const best = ALL_FORMATS.find((name) => this.#playable(name).mse) ?? 'mp3';
    const made = this.#kind === 'speech' && model.value.startsWith('qwen') ? 'wav' : 'mp3';
    const name = wish.value === 'auto' ? best : wish.value;
    const how = name === made ? t.formatMade : t.formatTurned;
    const lead = wish.value === 'auto' ? `${t.formatAuto(best)} ` : '';
    this.#part('wishWhy').textContent = lead + (this.#playable(name).mse ? how : t.formatWhole);
    const picks = [model.value, ...(mode.value === 'file' ? [t.modeFile] : []), ...(wish.value === 'auto' ? [] : [name])];
    this.#part('picks').textContent = picks.join(' · ');
  }

  #laidOut() {
    const { text } = this.#form;
    this.#part('textLabel').textContent = t.labels[this.#kind];
    text.placeholder = t.hints[this.#kind];
    text.rows = this.#kind === 'lyrics' ? 12 : 4;
    this.#part('tags').hidden = this.#kind !== 'lyrics';
    this.#part('chips').replaceChildren(...EXAMPLES[this.#kind].map(([name], index) => {
      const chip = button(name, { index });
      const chinese = /\p{Script=Han}/u.test(name);
      if (chinese !== (language === 'zh')) chip.lang = chinese ? 'zh-CN' : 'en';
      return chip;
    }));
    if (this.#form.go.ariaBusy !== 'true') this.busy(false);
    this.problem('');
    this.#counted();
  }

  #example(index) {
    if (index === undefined) return;
    this.#form.text.value = EXAMPLES[this.#kind][index][1];
    this.problem('');
    this.#counted();
  }

  // On a line of its own, wherever the cursor stands.
  #tag(tag) {
    const { text } = this.#form;
    const before = text.value.slice(0, text.selectionStart);
    text.focus();
    text.setRangeText(`${before && !before.endsWith('\n') ? '\n' : ''}[${tag}]\n`, text.selectionStart, text.selectionEnd, 'end');
    this.#counted();
  }

  #counted() {
    const { found, least, most, unit, fit } = this.#measured();
    this.#part('tally').textContent = `${found} / ${least}–${most} ${t.units[unit]}`;
    const fill = this.#part('fill');
    Object.assign(fill, { max: most, value: found });
    fill.dataset.fit = fit;
    const place = this.#part('fit');
    // Written only when it changes: a live region that is rewritten is read out again.
    if (place.textContent === t.fit[fit]) return;
    place.dataset.fit = fit;
    place.textContent = t.fit[fit];
  }
}

function button(name, data) {
  const made = Object.assign(document.createElement('button'), { type: 'button', textContent: name });
  Object.assign(made.dataset, data);
  return made;
}
