/* The tenant's songs, each with a way in.
 *
 * Invariant: the list is the gateway's, asked for again while the page is seen; rows keep their place and focus.
 * It joins nothing itself: it calls `onjoin(stream)` inside the click.
 */

const EVERY = 4_000; // ms
const SELDOM = 60_000; // while the gateway does not answer
const MOST = 12;

export class Together {
  #texts;
  #gate;
  #onjoin;
  #rows = new Map(); // id -> {element, name, facts, button, stream}
  #here = null;

  constructor(texts, gate, onjoin) {
    this.#texts = texts;
    this.#gate = gate;
    this.#onjoin = onjoin;
    document.getElementById('together').hidden = false;
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
    let streams;
    try {
      streams = await this.#gate.streams();
    } catch {
      return false; // the list on the page stays; the connection itself tells what is wrong
    }
    const shown = streams.slice(0, MOST);
    const ids = new Set(shown.map((stream) => stream.id));
    for (const [id, row] of this.#rows) {
      if (!ids.has(id)) {
        row.element.remove();
        this.#rows.delete(id);
      }
    }
    const list = document.getElementById('streams');
    shown.forEach((stream, place) => {
      const row = this.#row(stream);
      if (list.children[place] !== row.element) list.insertBefore(row.element, list.children[place] ?? null);
    });
    document.getElementById('togetherEmpty').hidden = shown.length > 0;
    return true;
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
    const here = stream.id === this.#here;
    const title = stream.title ?? this.#texts.songOf(stream.id);
    const length = stream.duration_seconds ? ` · ${Math.round(stream.duration_seconds)} s` : '';
    const facts = `${this.#texts.status[stream.status]}${length} · ${this.#texts.listening(stream.listeners ?? 0)}`;
    if (row.name.textContent !== title) row.name.textContent = title;
    if (row.facts.textContent !== facts) row.facts.textContent = facts;
    row.button.textContent = here ? this.#texts.here : this.#texts.join;
    row.button.ariaLabel = `${row.button.textContent}: ${title}`;
    row.button.disabled = here || stream.status === 'failed' || stream.status === 'cancelled';
    return row;
  }
}
