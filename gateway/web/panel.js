/* The tabs below the song. Invariant: one panel is shown, its tab alone is in the order of the Tab key, arrows move. */

export class Panel {
  #tabs = [...document.querySelectorAll('#tabs [role=tab]')];
  #onopen = {};

  /** `names`: the panels this visitor has, in order. */
  constructor(names) {
    this.#tabs = this.#tabs.filter((tab) => !(tab.hidden = !names.includes(name(tab))));
    for (const tab of this.#tabs) tab.addEventListener('click', () => this.open(name(tab)));
    document.getElementById('tabs').addEventListener('keydown', (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
      if (!step) return;
      event.preventDefault();
      const at = this.#tabs.indexOf(event.target);
      const next = this.#tabs[(at + step + this.#tabs.length) % this.#tabs.length];
      this.open(name(next));
      next.focus();
    });
    this.open(names[0]);
  }

  /** Calls it whenever this panel is opened. */
  on(which, callback) {
    this.#onopen[which] = callback;
  }

  get shown() {
    return name(this.#tabs.find((tab) => tab.ariaSelected === 'true'));
  }

  open(which) {
    for (const tab of this.#tabs) {
      const shown = name(tab) === which;
      tab.ariaSelected = String(shown);
      tab.tabIndex = shown ? 0 : -1;
    }
    for (const panel of document.querySelectorAll('#panel [role=tabpanel]')) panel.hidden = panel.id !== which;
    this.#onopen[which]?.();
  }
}

function name(tab) {
  return tab.getAttribute('aria-controls');
}
