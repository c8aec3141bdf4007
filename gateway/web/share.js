/* The ways to a song for others: a link, two embeddings, an overlay, three programs, each with a ticket in it.
 *
 * Invariant: a ticket is minted only when the ways are looked at, once a song; it allows listening to that song alone.
 * What a visitor without the key shares is nothing: only who holds the key mints tickets.
 */

import { language, onLanguage, t } from './texts.js';

const DAY = 86_400;

export class Share {
  #rest;
  #onerror;
  #tenant;
  #song = null; // {id, extension}
  #ticket = null; // {id, ticket, expires_at}
  #place = document.getElementById('lines');

  /** `tenant()` is its name, once that is known. */
  constructor(rest, tenant, onerror) {
    this.#rest = rest;
    this.#tenant = tenant;
    this.#onerror = onerror;
    onLanguage(() => this.#show());
    this.#place.addEventListener('click', ({ target }) => target.matches('button') && this.#copy(target));
  }

  /** From now on it is about this song. */
  song(id, extension) {
    this.#song = { id, extension };
    this.#place.replaceChildren();
  }

  /** Called whenever the ways are looked at. */
  async open() {
    if (!this.#song) return;
    const { id } = this.#song;
    try {
      if (this.#ticket?.id !== id) this.#ticket = { id, ...(await this.#rest.ticket(id, DAY)) };
    } catch (problem) {
      return this.#onerror(problem, { label: 'retry', run: () => this.open() });
    }
    if (id === this.#song.id) this.#show();
  }

  #show() {
    if (!this.#ticket || this.#ticket.id !== this.#song.id) return;
    this.#place.previousElementSibling.hidden = true;
    const lines = ways(location.origin, { ...this.#song, ticket: this.#ticket.ticket, tenant: this.#tenant() });
    this.#place.replaceChildren(...Object.entries(lines).map(([name, line]) => row(t.lines[name], line)));
    const when = new Date(this.#ticket.expires_at * 1000);
    const date = when.toLocaleString(language, { weekday: 'long', hour: 'numeric', minute: '2-digit' });
    document.getElementById('until').textContent = t.until(date);
  }

  async #copy(button) {
    const { parentElement: way } = button;
    const text = way.querySelector('code').textContent;
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      getSelection().selectAllChildren(way.querySelector('code')); // without leave to copy it is at least marked
      return;
    }
    way.querySelector('[role=status]').textContent = t.copied;
    button.dataset.done = '';
    setTimeout(() => {
      way.querySelector('[role=status]').textContent = '';
      delete button.dataset.done;
    }, 1600);
  }
}

/** Every way to this stream, by name. */
export function ways(origin, { id, ticket, tenant, extension }) {
  const hash = `stream=${id}&ticket=${ticket}`;
  const audio = `${origin}/v1/streams/${id}/audio.${extension}?ticket=${ticket}`;
  const frame = `${origin}/embed${tenant ? `?tenant=${tenant}` : ''}#${hash}`;
  return {
    link: `${origin}/#${hash}`,
    embed: `<script type="module" src="${origin}/wavegate-player.js"></script>\n<wavegate-player stream="${id}" ticket="${ticket}" style="display:block;min-height:132px"></wavegate-player>`,
    frame: `<iframe src="${frame}" allow="autoplay" title="Wavegate" width="100%" height="132" style="border:0;color-scheme:light dark" loading="lazy"></iframe>`,
    overlay: `${origin}/overlay#${hash}`,
    curl: `curl -N -o song.${extension} "${audio}"`,
    ffplay: `ffplay -nodisp -autoexit "${audio}"`,
    vlc: `vlc "${audio}"`,
  };
}

function row(name, line) {
  const make = (tag, own) => Object.assign(document.createElement(tag), own);
  const way = make('div', { className: 'way' });
  const code = make('code', { textContent: line, tabIndex: 0 });
  const label = make('span', { textContent: name });
  const copy = make('button', { type: 'button', className: 'quiet', textContent: t.copy, ariaLabel: `${t.copy}: ${name}` });
  const said = make('span', { className: 'said' });
  said.role = 'status';
  way.append(label, code, copy, said);
  return way;
}
