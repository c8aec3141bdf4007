/* What the tenant has left: a meter for today's music, and in words the month and the songs at once.
 *
 * Invariant: it shows what the gateway last said; before it has said anything, dashes. Guests see none of it.
 */

import { onLanguage, span, t } from './texts.js';

const FACTS = { today: 'audio_seconds_per_day', month: 'audio_seconds_per_month', atOnce: 'concurrent_streams' };

export class Quota {
  #said = null;

  constructor(gate) {
    document.getElementById('quota').hidden = false;
    gate.addEventListener('quota', ({ detail }) => {
      this.#said = detail;
      this.#show();
    });
    onLanguage(() => this.#said && this.#show());
  }

  #show() {
    for (const [id, name] of Object.entries(FACTS)) {
      const { limit, used } = this.#said[name];
      const amount = id === 'atOnce' ? String : span;
      document.getElementById(id).textContent = limit ? t.of(amount(used), amount(limit)) : t.noLimit(amount(used));
    }
    const { limit, used } = this.#said[FACTS.today];
    const meter = document.getElementById('todayMeter');
    meter.value = limit ? used / limit : 0;
    meter.dataset.fit = limit && used > limit * 0.8 ? 'long' : 'good';
  }
}
