/* The tenant's songs, newest first and page by page, each with a way in; and what they cost this month.
 *
 * Invariant: the list is the gateway's, asked for again while the page is seen; rows keep their place and focus.
 * It joins nothing itself: it calls `onjoin(stream)` inside the click, and `onreached()` whenever the gateway has answered.
 */

import { onLanguage, span, t } from './texts.js';

const EVERY = 4_000; // ms
const SELDOM = 60_000; // while the gateway does not answer
const PAGE = 6;
const MOST = 500; // rows the gateway gives at once

export class Songs {
  #rest;
  #onjoin;
  #onreached;
  #rows = new Map(); // id -> {element, name, facts, button, stream}
  #here = null;
  #wanted = PAGE;
  #part = (id) => document.getElementById(id);

  constructor(rest, onjoin, onreached) {
    this.#rest = rest;
    this.#onjoin = onjoin;
    this.#onreached = onreached;
    this.#part('older').addEventListener('click', () => {
      this.#wanted = Math.min(MOST, this.#wanted + 4 * PAGE);
      this.refresh();
    });
    this.#part('csv').addEventListener('click', () => this.#save());
    onLanguage(() => this.refresh());
    document.addEventListener('visibilitychange', () => document.hidden || this.refresh());
    this.#watch(EVERY);
  }

  async #watch(delay) {
    const reached = document.hidden || (await this.refresh());
    setTimeout(() => this.#watch(reached ? EVERY : Math.min(delay * 2, SELDOM)), delay);
  }

  /** Marks the song this page hears. */
  here(id) {
    this.#here = id;
    this.refresh();
  }

  /** Whether the gateway answered. */
  async refresh() {
    try {
      const [{ streams, has_more: more }, usage] = await Promise.all([
        this.#rest.streams({ limit: this.#wanted }),
        this.#rest.usage(),
      ]);
      this.#show(streams, more && this.#wanted < MOST);
      const { generations, settled } = usage.totals;
      this.#part('bought').textContent = t.bought(generations, span(settled));
      this.#part('ledger').hidden = generations === 0;
      this.#onreached();
      return true;
    } catch {
      return false; // the list on the page stays; the connection itself tells what is wrong
    }
  }

  #show(streams, more) {
    const ids = new Set(streams.map((stream) => stream.id));
    for (const [id, row] of this.#rows) {
      if (!ids.has(id)) {
        row.element.remove();
        this.#rows.delete(id);
      }
    }
    const list = this.#part('streams');
    streams.forEach((stream, place) => {
      const row = this.#row(stream);
      if (list.children[place] !== row.element) list.insertBefore(row.element, list.children[place] ?? null);
    });
    this.#part('songsEmpty').hidden = streams.length > 0;
    this.#part('older').hidden = !more;
  }

  #row(stream) {
    let row = this.#rows.get(stream.id);
    if (!row) {
      const make = (tag, own = {}) => Object.assign(document.createElement(tag), own);
      row = { element: make('li'), name: make('strong'), facts: make('small'), button: make('button', { type: 'button', className: 'quiet' }) };
      const words = make('div');
      words.append(row.name, row.facts);
      row.element.append(words, row.button);
      row.button.addEventListener('click', () => this.#onjoin(row.stream));
      this.#rows.set(stream.id, row);
    }
    row.stream = stream;
    const { id, status, listeners, title, usage, duration_seconds: seconds } = stream;
    const here = id === this.#here;
    const name = title ?? t.songOf(id);
    const facts = [
      t.status[status],
      seconds && span(seconds),
      listeners && t.listening(listeners),
      usage.settled && Math.abs(usage.audio_seconds - seconds) > 1 && t.charged(span(usage.audio_seconds)),
    ];
    write(row.name, name);
    write(row.facts, facts.filter(Boolean).join(' · '));
    write(row.button, here ? t.here : status === 'completed' ? t.replay : t.join);
    row.button.ariaLabel = `${row.button.textContent}: ${name}`;
    row.button.disabled = here;
    row.button.hidden = !here && (status === 'failed' || status === 'cancelled');
    return row;
  }

  async #save() {
    const url = URL.createObjectURL(await this.#rest.ledger());
    Object.assign(document.createElement('a'), { href: url, download: 'wavegate-usage.csv' }).click();
    setTimeout(() => URL.revokeObjectURL(url), EVERY);
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
