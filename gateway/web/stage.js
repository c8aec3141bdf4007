/* The song in words, numbers and pictures, with its controls.
 *
 * Invariant: it shows what the song says of itself and keeps no state of its own beyond which song that is.
 * It knows songs, not gateways; what goes wrong elsewhere is handed to `alert`.
 */

import { Peaks, Pictures } from './pictures.js';

const NUMBERS_EVERY = 250; // ms
const PICTURE_EVERY = 33; // ms: thirty a second are smooth enough for bars

export class Stage {
  #texts;
  #song = null;
  #peaks = null;
  #pictures = new Pictures();
  #part = (id) => document.getElementById(id);
  #drawn = 0;
  #saved = null;

  constructor(texts) {
    this.#texts = texts;
    const part = this.#part;
    part('seek').ariaLabel = texts.seek;
    part('volume').ariaLabel = texts.volume;
    part('mute').ariaLabel = texts.mute;
    part('lyrics').ariaLabel = texts.lyrics;
    part('toggle').addEventListener('click', () => this.toggle());
    part('seek').addEventListener('input', () => (this.#song.currentTime = Number(part('seek').value)));
    part('volume').addEventListener('input', () => (this.#song.volume = Number(part('volume').value)));
    part('mute').addEventListener('click', () => {
      this.#song.muted = !this.#song.muted;
      part('mute').ariaPressed = String(this.#song.muted);
    });
    // Space plays and pauses, unless it is being typed or would press something else.
    document.addEventListener('keydown', (event) => {
      if (event.key !== ' ' || event.target.closest('button, input, select, textarea, a')) return;
      event.preventDefault();
      this.toggle();
    });
    navigator.mediaSession?.setActionHandler('play', () => this.#song?.play());
    navigator.mediaSession?.setActionHandler('pause', () => this.#song?.pause());
    setInterval(() => this.#count(), NUMBERS_EVERY);
    this.#settle();
    this.#draw(0);
  }

  get song() {
    return this.#song;
  }

  /** Shows this song and leaves the one before. `title` serves until the gateway knows a better one. */
  show(song, { title, second }) {
    this.#song?.close();
    const part = this.#part;
    if (this.#song) Object.assign(song, { volume: this.#song.volume, muted: this.#song.muted });
    this.#song = song;
    this.#peaks = new Peaks();
    if (this.#saved) URL.revokeObjectURL(this.#saved);
    this.#saved = null;
    song.addEventListener('frame', ({ detail }) => this.#peaks.add(detail, song.format.sample_rate));
    song.addEventListener('metadata', () => this.#describe(title));
    song.addEventListener('state', () => this.#settle());
    song.addEventListener('completed', () => this.#complete());
    song.addEventListener('queued', ({ detail }) => {
      const seconds = detail.eta_ms && Math.ceil(detail.eta_ms / 1000);
      if (detail.position) part('status').textContent = this.#texts.queue(detail.position, seconds);
    });
    song.addEventListener('error', ({ detail }) => this.alert(detail));
    for (const id of ['toggle', 'mute', 'volume', 'seek']) part(id).disabled = false;
    part('second').href = second;
    for (const id of ['alert', 'save', 'lyrics']) part(id).hidden = true;
    this.#describe(title);
    this.#settle();
    this.#count();
  }

  /** Music of the simulator is called so. */
  simulated(flag) {
    this.#part('simulated').hidden = !flag;
  }

  toggle() {
    if (!this.#song) return;
    if (this.#song.paused) this.#song.play();
    else this.#song.pause();
    this.#settle();
  }

  /** Says what went wrong: the gateway's own sentence where it gave one. */
  alert(error) {
    const again = error.retryAfterMs ? this.#texts.again(Math.ceil(error.retryAfterMs / 1000)) : '';
    this.#part('code').textContent = error.code;
    this.#part('sentence').textContent = (this.#texts.errors[error.code] ?? error.message) + again;
    this.#part('alert').hidden = false;
  }

  quiet() {
    this.#part('alert').hidden = true;
  }

  #describe(title) {
    const { title: known, lyrics } = this.#song;
    const name = known ?? title;
    if (this.#part('title').textContent !== name) {
      this.#part('title').textContent = name;
      document.title = `${name} · Wavegate`;
      if (navigator.mediaSession) navigator.mediaSession.metadata = new MediaMetadata({ title: name, artist: 'Wavegate' });
    }
    const place = this.#part('lyrics');
    if (!lyrics || !place.hidden) return;
    place.replaceChildren(...lyrics.split(/(?=\[[^\]\n]+\])/).map(verse));
    place.hidden = false;
  }

  #complete() {
    const song = this.#song;
    this.#saved = URL.createObjectURL(song.blob());
    const save = this.#part('save');
    save.href = this.#saved;
    save.download = `wavegate-${song.id}.${song.format?.codec === 'mp3' ? 'mp3' : 'wav'}`;
    save.hidden = song.stats.frames === 0;
    this.#settle();
  }

  #settle() {
    const song = this.#song;
    const state = song?.state ?? 'idle';
    const part = this.#part;
    part('stage').dataset.state = state;
    part('status').textContent = this.#texts.states[state === 'playing' && song.completed ? 'complete' : state];
    part('second').hidden = !song?.id;
    this.#press();
  }

  #press() {
    const on = Boolean(this.#song && !this.#song.paused);
    this.#part('toggle').toggleAttribute('data-on', on);
    this.#part('toggle').ariaLabel = on ? this.#texts.pause : this.#texts.play;
  }

  #count() {
    const song = this.#song;
    if (!song) return;
    this.#press();
    const { stats, currentTime, duration, verified, format } = song;
    const seconds = (value) => `${value.toFixed(1)} s`;
    const facts = {
      firstSound: stats.firstSoundMs === null ? '–' : short(stats.firstSoundMs),
      generated: seconds(duration),
      heard: seconds(stats.firstSoundMs === null ? 0 : currentTime),
      buffered: seconds(stats.bufferedSeconds),
      lag: seconds(stats.lagSeconds),
      listeners: stats.listeners ?? '–',
      bytes: stats.bytes < 1e6 ? `${Math.round(stats.bytes / 1e3)} kB` : `${(stats.bytes / 1e6).toFixed(1)} MB`,
      format: format ? describe(format) : '–',
      verified: this.#texts.sha[verified],
      stalls: stats.stalls,
      reconnects: stats.reconnects,
      at: clock(currentTime),
      of: clock(duration),
    };
    for (const [id, fact] of Object.entries(facts)) this.#part(id).textContent = fact;
    this.#part('verified').dataset.verified = verified;
    const seek = this.#part('seek');
    seek.max = this.#pictures.span;
    seek.value = currentTime;
    seek.ariaValueText = this.#texts.position(facts.at, facts.of);
  }

  #draw(now) {
    requestAnimationFrame((next) => this.#draw(next));
    if (now - this.#drawn < PICTURE_EVERY) return;
    this.#drawn = now;
    const song = this.#song;
    this.#pictures.draw({
      peaks: this.#peaks?.values ?? [],
      heard: song?.currentTime ?? 0,
      made: song?.duration ?? 0,
      complete: song?.completed ?? false,
      analyser: song && !song.paused ? song.analyser() : null,
    });
  }
}

function verse(text) {
  const part = document.createElement('p');
  const [, mark, words] = /^(?:\[([^\]\n]+)\])?\s*([^]*)$/.exec(text.trim());
  if (mark) part.append(Object.assign(document.createElement('b'), { textContent: mark }));
  part.append(words);
  return part;
}

function describe({ codec, sample_rate: rate, bitrate }) {
  return bitrate && codec !== 'pcm' ? `${codec} ${Math.round(bitrate / 1000)}k` : `${codec} ${rate / 1000}k`;
}

function short(ms) {
  return ms < 1000 ? `${Math.round(ms)} ms` : `${(ms / 1000).toFixed(1)} s`;
}

function clock(seconds) {
  const whole = Math.floor(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}
