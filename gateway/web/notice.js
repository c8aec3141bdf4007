/* What went wrong, in words, at the foot of the window: a sentence, perhaps a countdown, perhaps a way on.
 *
 * Invariant: it covers and never moves what is above it; the sentence is read out once, the countdown never.
 * It must not know songs: what is to be done is handed in.
 */

import { onLanguage, sentenceOf, t } from './texts.js';

export class Notice {
  #part = (id) => document.getElementById(id);
  #shown = null; // {error, extra, action}
  #timer = null;

  constructor() {
    this.#part('dismiss').addEventListener('click', () => this.hide());
    this.#part('act').addEventListener('click', () => this.#act());
    onLanguage(() => this.#shown && this.#write());
  }

  /** The code that stands there, or null. */
  get code() {
    return this.#shown?.error.code ?? null;
  }

  /**
   * `extra` names one more sentence of the table; `action` is {label, run, seconds}: a button named by the table, which
   * presses itself once so many seconds are over, if they are given.
   */
  show(error, { extra = null, action = null } = {}) {
    clearInterval(this.#timer);
    this.#shown = { error, extra, action };
    this.#write();
    this.#part('notice').hidden = false;
    this.#part('countdown').textContent = '';
    if (action?.seconds) this.#countDown(action.seconds);
  }

  hide() {
    clearInterval(this.#timer);
    this.#shown = null;
    this.#part('notice').hidden = true;
  }

  #write() {
    const { error, extra, action } = this.#shown;
    this.#part('code').textContent = error.code;
    this.#part('sentence').textContent = [sentenceOf(error), extra && t[extra]].filter(Boolean).join(' ');
    this.#part('act').hidden = !action;
    if (action) this.#part('act').textContent = t[action.label];
  }

  #countDown(seconds) {
    const end = performance.now() + seconds * 1000;
    const tick = () => {
      const left = Math.ceil((end - performance.now()) / 1000);
      if (left > 0) this.#part('countdown').textContent = t.again(left);
      else this.#act();
    };
    tick();
    this.#timer = setInterval(tick, 250);
  }

  #act() {
    const { action } = this.#shown;
    this.hide();
    action.run();
  }
}
