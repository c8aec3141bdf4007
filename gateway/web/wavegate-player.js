/* <wavegate-player>: a song of a gateway in two lines of any page.
 *
 *   <script type="module" src="https://music.example/wavegate-player.js"></script>
 *   <wavegate-player stream="st_…" ticket="wt_…"></wavegate-player>
 *
 * Attributes: server, stream, ticket, autoplay, theme (light, dark), format, lang (en, zh). Properties: ticket may be a
 * function that fetches one; song is the Song of wavegate.js once there is one; play(), pause(). Events of the song bubble
 * as wavegate-state, wavegate-completed, wavegate-error, … with the same detail. Style it by ::part(box, button, title,
 * status, time, wave) and by --wavegate-accent, -surface, -ink, -muted, -line, -rest, -radius, -font.
 *
 * Invariant: it asks the gateway for nothing before it is played. It needs nothing of its page and leaves nothing in it.
 */

import { Peaks, Wave } from './pictures.js';
import { Wavegate } from './wavegate.js';

const EVENTS = ['state', 'created', 'queued', 'started', 'metadata', 'gap', 'stall', 'completed', 'verified', 'error'];
const SHOWN_EVERY = 50; // ms
const STYLE = `
  :host { display: block; min-width: 240px; color-scheme: light dark; }
  :host([hidden]) { display: none; }
  :host([theme="light"]) { color-scheme: light; }
  :host([theme="dark"]) { color-scheme: dark; }
  * { box-sizing: border-box; margin: 0; }
  .box {
    --accent: var(--wavegate-accent, light-dark(#bf3a16, #ff7d4f));
    --ink: var(--wavegate-ink, light-dark(#1f1c18, #f1ece2));
    --muted: var(--wavegate-muted, light-dark(#6a6358, #a89f91));
    --line: var(--wavegate-line, light-dark(#e0d9cb, #35312b));
    --surface: var(--wavegate-surface, light-dark(#fffdf8, #1d1b18));
    display: grid; grid-template: "button title time" auto "button status status" auto "button wave wave" 1fr / auto minmax(0, 1fr) auto;
    gap: 0 16px; height: 132px; padding: 16px 20px 12px 16px; border: 1px solid var(--line);
    border-radius: var(--wavegate-radius, 18px); background: var(--surface); color: var(--ink);
    letter-spacing: normal; text-align: start; text-indent: 0; text-transform: none; word-spacing: normal;
    font: 15px/1.45 var(--wavegate-font, system-ui, -apple-system, "Segoe UI", Roboto, "PingFang SC", "Microsoft YaHei", sans-serif);
  }
  button {
    grid-area: button; align-self: center; width: 64px; height: 64px; padding: 0; border: 0; border-radius: 50%;
    background: var(--accent); color: var(--surface); cursor: pointer;
  }
  button:focus-visible, .wave:has(:focus-visible) { outline: 2px solid var(--accent); outline-offset: 3px; }
  .blocked button { box-shadow: 0 0 0 8px color-mix(in srgb, var(--accent) 18%, transparent); }
  svg { display: block; width: 30px; margin: auto; fill: currentColor; }
  .on .triangle, .bars { display: none; }
  .on .bars { display: inline; }
  .title { grid-area: title; overflow: hidden; font-weight: 650; text-overflow: ellipsis; white-space: nowrap; }
  .time { grid-area: time; color: var(--muted); font-variant-numeric: tabular-nums; }
  .status { grid-area: status; overflow: hidden; color: var(--muted); font-size: 13.5px; text-overflow: ellipsis; white-space: nowrap; }
  .wave { grid-area: wave; position: relative; min-height: 0; margin-top: 6px; border-radius: 6px; }
  canvas {
    display: block; width: 100%; height: 100%;
    color: var(--accent); caret-color: var(--wavegate-rest, light-dark(#b8ae9c, #665e52)); text-decoration-color: var(--line);
  }
  input { position: absolute; inset: 0; width: 100%; height: 100%; margin: 0; opacity: 0; cursor: pointer; }
  input:disabled { cursor: default; }`;
const BODY = `
  <div class="box" part="box" role="group">
    <button type="button" part="button"><svg viewBox="0 0 24 24" aria-hidden="true"><path class="triangle" d="M8 5.2v13.6L19 12z"/><path class="bars" d="M7 5h3.4v14H7zM13.6 5H17v14h-3.4z"/></svg></button>
    <span class="title" part="title"></span><span class="time" part="time"></span>
    <span class="status" part="status" role="status"></span>
    <div class="wave" part="wave"><canvas aria-hidden="true"></canvas><input type="range" min="0" max="0" step="1" value="0" disabled></div>
  </div>`;
const WORDS = {
  en: {
    name: 'Music', play: 'Play', pause: 'Pause', seek: 'Position in the song', idle: 'Play it', none: 'No song is named here',
    queued: 'Waiting for the first notes', buffering: 'Filling the buffer', playing: 'Being made while you listen', complete: 'Playing',
    paused: 'Paused', reconnecting: 'Connection lost, coming back', blocked: 'Tap to listen', ended: 'The end', failed: 'Stopped',
    still: 'Waiting for more of the song', silence: 'The song is silent for the moment',
    lost: 'This song is not there any more', let: 'The ticket for this song is not valid any more', away: 'The gateway does not answer',
  },
  zh: {
    name: '音乐', play: '播放', pause: '暂停', seek: '播放位置', idle: '点击播放', none: '没有指定歌曲',
    queued: '正在等待第一个音符', buffering: '正在缓冲', playing: '边生成边播放', complete: '正在播放',
    paused: '已暂停', reconnecting: '连接中断，正在恢复', blocked: '点击收听', ended: '播放完毕', failed: '已停止',
    still: '正在等待后续内容', silence: '目前是静音',
    lost: '这首歌已不存在', let: '这首歌的票据已失效', away: '网关没有响应',
  },
};
const FAMILIES = {
  stream_not_found: 'lost', bad_credentials: 'let', credentials_expired: 'let', ticket_used: 'let', forbidden: 'let', unreachable: 'away',
};
const sheet = new CSSStyleSheet();
sheet.replaceSync(STYLE);

export class WavegatePlayer extends HTMLElement {
  static observedAttributes = ['server', 'stream', 'ticket', 'format', 'lang'];

  #root = this.attachShadow({ mode: 'open', delegatesFocus: true });
  #part;
  #wave;
  #gate = null;
  #song = null;
  #peaks = null;
  #ticket = null;
  #timer = null;

  constructor() {
    super();
    this.#root.adoptedStyleSheets = [sheet];
    this.#root.innerHTML = BODY;
    this.#part = (name) => this.#root.querySelector(name);
    this.#wave = new Wave(this.#part('canvas'));
    this.#part('button').addEventListener('click', () => (this.#song && !this.#song.paused ? this.pause() : this.play()));
    this.#part('input').addEventListener('input', () => this.#song.seek(Number(this.#part('input').value)));
  }

  connectedCallback() {
    if (this.hasAttribute('autoplay')) this.play();
    this.#timer = setInterval(() => document.hidden || this.#show(), SHOWN_EVERY);
    this.#show();
  }

  disconnectedCallback() {
    this.#timer = clearInterval(this.#timer);
    this.#leave();
  }

  attributeChangedCallback(name, before, now) {
    if (before === now) return;
    if (name !== 'lang') {
      const going = this.#song && (!this.#song.paused || this.#dead);
      this.#leave();
      if (going || (this.#timer && this.hasAttribute('autoplay'))) this.play();
    }
    this.#show();
  }

  /** The Song, from the first play() on. */
  get song() {
    return this.#song;
  }

  /** The ticket, or the function that fetches one. */
  get ticket() {
    return this.#ticket ?? this.getAttribute('ticket');
  }

  set ticket(value) {
    this.#ticket = value;
  }

  /** Call it inside a click, as the button does. */
  async play() {
    if (this.#song?.error) this.#leave();
    if (!this.#song && !this.#join()) return;
    await this.#song.play();
  }

  pause() {
    this.#song?.pause();
  }

  #join() {
    const stream = this.getAttribute('stream');
    if (!stream) return false;
    const server = this.getAttribute('server');
    this.#gate = new Wavegate({ ...(server && { server: new URL(server, location.href) }), ticket: this.ticket });
    const format = this.getAttribute('format');
    const song = (this.#song = this.#gate.attach(stream, format ? { format } : {}));
    this.#peaks = new Peaks(song);
    for (const name of EVENTS) {
      song.addEventListener(name, ({ detail }) => {
        this.#show();
        this.dispatchEvent(new CustomEvent(`wavegate-${name}`, { detail, bubbles: true, composed: true }));
      });
    }
    return true;
  }

  #leave() {
    this.#gate?.close();
    this.#gate = this.#song = this.#peaks = null;
  }

  // It failed before anything sounded.
  get #dead() {
    return this.#song.error !== null && this.#song.stats.frames === 0;
  }

  get #words() {
    const language = this.closest('[lang]')?.lang || navigator.language;
    return WORDS[language.startsWith('zh') ? 'zh' : 'en'];
  }

  #show() {
    const [song, words] = [this.#song, this.#words];
    const state = song?.state ?? 'idle';
    const on = Boolean(song && !song.paused);
    const now = state === 'playing' && song.completed ? 'complete' : state;
    const silent = ['playing', 'buffering'].includes(now) && song.silent;
    const key = song?.error ? (FAMILIES[song.error.code] ?? 'failed') : silent || now;
    const at = `${clock(song?.currentTime ?? 0)} / ${clock(song?.duration ?? 0)}`;
    const box = this.#part('.box');
    box.classList.toggle('on', on);
    box.classList.toggle('blocked', state === 'blocked');
    box.ariaLabel = words.name;
    this.#part('button').ariaLabel = state === 'blocked' ? words.blocked : on ? words.pause : words.play;
    write(this.#part('.title'), song?.title ?? (this.title || words.name));
    write(this.#part('.status'), this.hasAttribute('stream') ? words[key] : words.none);
    write(this.#part('.time'), at);
    this.#wave.draw({ peaks: this.#peaks?.values ?? [], heard: [0, song?.currentTime ?? 0], made: song?.duration ?? 0, complete: song?.finished ?? false });
    const seek = this.#part('input');
    seek.disabled = !song;
    seek.ariaLabel = words.seek;
    seek.max = this.#wave.span;
    seek.value = song?.currentTime ?? 0;
    seek.ariaValueText = at;
  }
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

customElements.define('wavegate-player', WavegatePlayer);
