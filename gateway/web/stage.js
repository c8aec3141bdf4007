/* The song in words, numbers and pictures, with its controls.
 *
 * Invariant: it shows what the song says of itself and keeps no state of its own beyond which song that is. The sound is
 * tapped for its spectrum only while that is wanted, seen, and already heard: the first sound waits for no picture.
 * It knows songs, not gateways; what goes wrong is told to `onerror(error, song)`, and `onrevive(song)` is called when one
 * that failed before it sounded is to be played.
 */

import { nameOf } from './capabilities.js';
import { Halo, Peaks, Wave } from './pictures.js';
import { clock, onLanguage, size, t } from './texts.js';

const NUMBERS_EVERY = 250; // ms
const PICTURE_EVERY = 33; // ms: thirty a second are smooth enough for bars
const STEP = 5; // seconds, of the arrow keys

export class Stage {
  #onerror;
  #onrevive;
  #song = null;
  #peaks = null;
  #known = {}; // title and lyrics as the gateway told them elsewhere
  #queue = null;
  #asked = 0;
  #wave = new Wave(document.getElementById('wave'));
  #halo = new Halo(document.getElementById('halo'));
  #still = matchMedia('(prefers-reduced-motion: reduce)');
  #part = (id) => document.getElementById(id);
  #drawn = 0;
  #saved = null;

  constructor(onerror, onrevive) {
    this.#onerror = onerror;
    this.#onrevive = onrevive;
    const part = this.#part;
    part('toggle').addEventListener('click', () => this.toggle());
    part('seek').addEventListener('input', () => this.#song.seek(Number(part('seek').value)));
    part('volume').addEventListener('input', () => {
      this.#song.volume = Number(part('volume').value);
      part('volume').ariaValueText = `${Math.round(100 * this.#song.volume)}%`;
    });
    part('mute').addEventListener('click', () => this.#mute());
    part('spectrum').addEventListener('click', () => this.#watch(part('spectrum').ariaPressed !== 'true'));
    // On phones a tapped element falls silent in the background, and by the silent switch.
    this.#watch(matchMedia('(pointer: fine)').matches && !this.#still.matches);
    document.addEventListener('keydown', (event) => this.#key(event));
    onLanguage(() => {
      this.#describe();
      this.#settle();
      this.#count();
    });
    setInterval(() => this.#count(), NUMBERS_EVERY);
    this.#settle();
    this.#draw(0);
  }

  get song() {
    return this.#song;
  }

  /** {peaks: values, made, complete} of the song, for whoever draws it too. */
  get picture() {
    const song = this.#song;
    return { peaks: this.#peaks?.values ?? [], made: song?.duration ?? 0, complete: song?.finished ?? false };
  }

  /** Shows this song and leaves the one before. `asked`: when it was asked for, by performance.now(). */
  show(song, { title, lyrics, second, asked = performance.now() }) {
    this.#song?.close();
    const part = this.#part;
    if (this.#song) Object.assign(song, { volume: this.#song.volume, muted: this.#song.muted });
    this.#song = song;
    this.#peaks = new Peaks(song);
    this.#known = { title, lyrics };
    this.#asked = asked;
    this.#queue = null;
    if (this.#saved) URL.revokeObjectURL(this.#saved);
    this.#saved = null;
    song.addEventListener('metadata', () => {
      this.#describe();
      this.#settle();
    });
    song.addEventListener('state', () => this.#settle());
    song.addEventListener('completed', () => this.#keep());
    song.addEventListener('queued', ({ detail }) => {
      this.#queue = detail;
      this.#settle();
    });
    song.addEventListener('error', ({ detail }) => {
      this.#keep();
      this.#onerror(detail, song);
    });
    for (const id of ['toggle', 'mute', 'volume', 'seek']) part(id).disabled = false;
    part('second').href = second;
    part('save').hidden = true;
    part('lyrics').hidden = true;
    part('lyrics').previousElementSibling.hidden = false;
    this.#describe();
    this.#settle();
    this.#count();
  }

  /** Music of the simulator is called so. */
  simulated(flag) {
    this.#part('simulated').hidden = !flag;
  }

  toggle() {
    if (!this.#song) return;
    if (this.#song.error && !this.#song.stats.frames) this.#onrevive(this.#song);
    else if (this.#song.paused) this.#song.play();
    else this.#song.pause();
    this.#settle();
  }

  #mute() {
    this.#song.muted = !this.#song.muted;
    this.#part('mute').ariaPressed = String(this.#song.muted);
  }

  #watch(flag) {
    this.#part('spectrum').ariaPressed = String(flag);
  }

  // Keys do nothing where they are typed or press something else: a radio that is chosen has no use for Space.
  #key(event) {
    const { key, target, altKey, ctrlKey, metaKey } = event;
    const typed = 'input:not([type=range], [type=radio]:checked), select, textarea, dialog';
    if (!this.#song || altKey || ctrlKey || metaKey || target.closest(typed)) return;
    if (key === ' ' && !target.closest('button, a, summary')) this.toggle();
    else if (/^Arrow(Left|Right)$/.test(key) && !target.closest('input:not(#seek), [role=tab]')) {
      this.#song.seek(this.#song.currentTime + (key === 'ArrowLeft' ? -STEP : STEP));
    } else if (key === 'm' || key === 'M') this.#mute();
    else return;
    event.preventDefault();
  }

  #describe() {
    const song = this.#song;
    const name = song ? (song.title ?? this.#known.title ?? t.songOf(song.id)) : t.idleTitle;
    if (this.#part('title').textContent !== name) {
      this.#part('title').textContent = this.#part('title').title = name;
      document.title = song ? `${name} · Wavegate` : 'Wavegate';
    }
    const place = this.#part('lyrics');
    const lyrics = song?.lyrics ?? this.#known.lyrics;
    if (!lyrics || !place.hidden) return;
    place.replaceChildren(...lyrics.split(/(?=\[[^\]\n]+\])/).map(verse));
    place.hidden = false;
    place.previousElementSibling.hidden = true;
  }

  // What has arrived can be saved once no more will come.
  #keep() {
    const song = this.#song;
    this.#saved = URL.createObjectURL(song.blob());
    const save = this.#part('save');
    save.href = this.#saved;
    save.download = `wavegate-${song.id}.${nameOf(song.format?.mime)}`;
    save.hidden = song.stats.frames === 0;
    this.#settle();
  }

  #settle() {
    const song = this.#song;
    const state = song?.state ?? 'idle';
    const part = this.#part;
    part('stage').dataset.state = state;
    const queued = state === 'queued' && this.#queue?.position;
    const seconds = queued && this.#queue.eta_ms && Math.ceil(this.#queue.eta_ms / 1000);
    const now = state === 'playing' && song.completed ? 'complete' : state;
    const silent = ['playing', 'buffering'].includes(now) && song.silent;
    const words = queued ? t.queue(queued, seconds) : t.states[silent || now];
    if (part('status').textContent !== words) part('status').textContent = words;
    part('second').hidden = !song?.id;
    part('cut').disabled = !song || song.finished;
    this.#press();
  }

  #press() {
    const on = Boolean(this.#song && !this.#song.paused);
    this.#part('toggle').toggleAttribute('data-on', on);
    this.#part('toggle').ariaLabel = on ? t.pause : t.play;
  }

  #count() {
    const song = this.#song;
    if (!song) return void (this.#part('route').textContent = t.routeIdle);
    this.#press();
    const { stats, currentTime, duration, verified, format, state } = song;
    const waited = ['queued', 'buffering'].includes(state) ? short(performance.now() - this.#asked) : '–';
    const seconds = (value) => `${value.toFixed(1)} s`;
    const facts = {
      firstSound: stats.firstSoundMs === null ? waited : short(stats.firstSoundMs),
      generated: seconds(duration),
      heard: seconds(stats.firstSoundMs === null ? 0 : currentTime),
      buffered: seconds(stats.bufferedSeconds),
      lag: song.completed ? '–' : seconds(stats.lagSeconds),
      listeners: stats.listeners ?? '–',
      bytes: size(stats.bytes),
      format: format ? rate(format) : '–',
      verified: t.sha[verified],
      stalls: stats.stalls,
      reconnects: stats.reconnects,
      at: clock(currentTime),
      of: clock(duration),
      route: format ? t.route(nameOf(format.mime), t.sinks[stats.sink], t.transports[stats.transport]) : t.routeIdle,
    };
    for (const [id, fact] of Object.entries(facts)) this.#part(id).textContent = fact;
    this.#part('firstSound').toggleAttribute('data-open', stats.firstSoundMs === null);
    this.#part('route').title = stats.why ?? '';
    this.#part('verified').dataset.verified = verified;
    const seek = this.#part('seek');
    seek.max = this.#wave.span;
    seek.value = currentTime;
    seek.ariaValueText = t.position(facts.at, facts.of);
  }

  // The browser asks for no picture while the page is hidden.
  #draw(now) {
    requestAnimationFrame((next) => this.#draw(next));
    if (now - this.#drawn < PICTURE_EVERY) return;
    this.#drawn = now;
    const song = this.#song;
    const wanted = this.#part('spectrum').ariaPressed === 'true' && song && !song.paused && song.stats.firstSoundMs !== null;
    this.#wave.draw({ ...this.picture, heard: [0, song?.currentTime ?? 0] });
    this.#halo.draw(wanted ? song.analyser() : null);
  }
}

function verse(text) {
  const part = document.createElement('p');
  const [, mark, words] = /^(?:\[([^\]\n]+)\])?\s*([^]*)$/.exec(text.trim());
  if (mark) part.append(Object.assign(document.createElement('b'), { textContent: mark }));
  part.append(words);
  return part;
}

function rate({ codec, sample_rate: hertz, bitrate }) {
  if (bitrate && codec !== 'pcm') return `${codec} ${Math.round(bitrate / 1000)}k`;
  return hertz ? `${codec} ${hertz / 1000} kHz` : codec;
}

function short(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}
