/* The form: what to sing, in which voice, by which model; a live count; mistakes told at the field they belong to.
 *
 * Invariant: it never refuses what the gateway would take. Only an empty field is answered here; everything else is
 * for the gateway to judge, before anything is spent. It calls `onsubmit(input, options)` and plays nothing.
 */

import { count, fit, LIMITS } from './counting.js';
import { EXAMPLES } from './examples.js';

const PREVIEW = 'fun-music-preview'; // wants a prompt, and chooses the voice by itself

export class Composer {
  #texts;
  #form = document.getElementById('composer');
  #part = (id) => document.getElementById(id);
  #drafts = { prompt: '', lyrics: '' };
  #kind = 'prompt';

  constructor(texts, onsubmit) {
    this.#texts = texts;
    const form = this.#form;
    this.#part('kind').ariaLabel = texts.compose;
    this.#part('chips').ariaLabel = texts.examples;
    form.text.addEventListener('input', () => this.#counted());
    form.addEventListener('change', () => this.#chosen());
    this.#part('chips').addEventListener('click', ({ target }) => this.#example(target.dataset.index));
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      if (form.go.ariaBusy === 'true') return;
      this.problem('');
      if (form.text.value.trim()) onsubmit(this.#input(), { model: form.model.value });
      else this.problem(texts.empty[this.#kind]);
    });
    this.#chosen();
    this.#laidOut();
  }

  /** While the gateway is asked, a second click must not buy a second song. */
  busy(flag) {
    this.#form.go.ariaBusy = String(flag);
    this.#form.go.textContent = flag ? this.#texts.asking : this.#texts.go;
  }

  /** Tells what is wrong at the field; an empty sentence takes it back. */
  problem(sentence) {
    const place = this.#part('problem');
    place.textContent = sentence;
    place.hidden = !sentence;
    this.#form.text.ariaInvalid = String(Boolean(sentence));
    if (sentence) this.#form.text.focus();
  }

  #input() {
    const { text, voice } = this.#form;
    const input = { [this.#kind]: text.value.trim() };
    if (voice.value === 'instrumental') input.is_instrumental = true;
    else if (voice.value !== 'sung') input.gender = voice.value;
    return input;
  }

  // Choices that exclude each other: lyrics are sung, and the preview model takes neither lyrics alone nor a gender.
  #chosen() {
    const { kind, model, voice } = this.#form;
    if (kind.value !== this.#kind) {
      this.#drafts[this.#kind] = this.#form.text.value;
      this.#kind = kind.value;
      this.#form.text.value = this.#drafts[this.#kind];
      this.#laidOut();
    }
    const lyrics = this.#kind === 'lyrics';
    model.options[1].disabled = lyrics;
    if (lyrics) model.value = model.options[0].value;
    const preview = model.value === PREVIEW;
    for (const radio of voice) {
      radio.disabled = radio.value === 'instrumental' && lyrics;
      if (radio.value !== 'instrumental') radio.parentElement.hidden = preview === (radio.value !== 'sung');
    }
    const chosen = [...voice].find((radio) => radio.checked);
    if (chosen.disabled || chosen.parentElement.hidden) voice.value = preview ? 'sung' : 'female';
  }

  #laidOut() {
    const { text } = this.#form;
    this.#part('textLabel').textContent = this.#texts[`${this.#kind}Label`];
    text.placeholder = this.#texts[`${this.#kind}Hint`];
    text.rows = this.#kind === 'lyrics' ? 12 : 4;
    this.#part('chips').replaceChildren(
      ...EXAMPLES[this.#kind].map(([name], index) => {
        const chip = document.createElement('button');
        Object.assign(chip, { type: 'button', textContent: name });
        chip.dataset.index = index;
        if (/\p{Script=Han}/u.test(name)) chip.lang = 'zh';
        return chip;
      }),
    );
    this.problem('');
    this.#counted();
  }

  #example(index) {
    if (index === undefined) return;
    this.#form.text.value = EXAMPLES[this.#kind][index][1];
    this.problem('');
    this.#counted();
  }

  #counted() {
    const found = count(this.#form.text.value);
    const [least, most] = LIMITS[this.#kind][found.language];
    this.#part('tally').textContent = `${found.count} / ${least}–${most} ${this.#texts.units[found.language]}`;
    const verdict = fit(this.#kind, found);
    const place = this.#part('fit');
    // Written only when it changes: a live region that is rewritten is read out again.
    if (place.dataset.fit === verdict) return;
    place.dataset.fit = verdict;
    place.textContent = this.#texts.fit[verdict];
  }
}
