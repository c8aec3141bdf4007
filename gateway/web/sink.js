/* Where the bytes become sound: MediaSource while the song is still being made, a plain URL where that cannot be.
 *
 * Invariant: bytes reach the element in the order in which they were appended, and none is dropped, not even when
 * the browser's buffer is full. A sink knows an <audio> element and a MIME type; no socket, no song, no gateway.
 * Both sinks have the same verbs: start(mime, offsetSeconds), append(payload, seconds), end(), close().
 */

const FIRST_TARGET = 0.5; // seconds held back before the first append: Chromium wants more than 0.2 to begin
const LONGEST_TARGET = 2; // after a stall the target doubles up to this
const KEEP_BEHIND = 30; // seconds behind the playhead that survive when the buffer is full
const LARGEST_PIECE = 512 * 1024; // a late joiner's backlog is appended in pieces of this size, not frame by frame

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // iPhones have the managed one alone

/** Whether sound of this MIME type can be played while it arrives. Asked of the browser, never guessed from its name. */
export function plays(mime) {
  return Boolean(Source?.isTypeSupported(mime));
}

export class MediaSourceSink {
  #audio;
  #source;
  #url;
  #buffer = null;
  #format = null;
  #queue = [];
  #piece = null; // being appended, or waiting for room
  #held = 0; // seconds in #queue
  #holding = true;
  #target = FIRST_TARGET;
  #ending = false;
  #stop = new AbortController();

  /** Takes the element over at once, inside the click, before anything is known of the song. */
  constructor(audio, { onstall, onfail }) {
    this.#audio = audio;
    this.#source = new Source();
    const { signal } = this.#stop;
    // A managed source never opens while the element might be handed to a television.
    if (Source === globalThis.ManagedMediaSource) audio.disableRemotePlayback = true;
    for (const name of ['sourceopen', 'startstreaming']) {
      this.#source.addEventListener(name, () => this.#pump(), { signal });
    }
    audio.addEventListener('waiting', () => this.#ranDry(onstall), { signal });
    audio.addEventListener('timeupdate', () => this.#piece && this.#pump(), { signal });
    audio.addEventListener('error', () => onfail(audio.error), { signal });
    this.#url = URL.createObjectURL(this.#source);
    audio.src = this.#url;
  }

  /** `offset`: where in the song, in seconds, the first append belongs. */
  start(mime, offset) {
    this.#format = { mime, offset };
    this.#pump();
  }

  append(payload, seconds) {
    this.#queue.push(payload);
    this.#held += seconds;
    this.#pump();
  }

  end() {
    this.#ending = true;
    this.#pump();
  }

  close() {
    this.#stop.abort();
    this.#queue = [];
    this.#audio.removeAttribute('src');
    this.#audio.load();
    URL.revokeObjectURL(this.#url);
  }

  #open() {
    this.#buffer = this.#source.addSourceBuffer(this.#format.mime);
    // Raw codec frames carry no time of their own: the offset makes the element's clock the song's clock.
    if (this.#buffer.mode === 'sequence') this.#buffer.timestampOffset = this.#format.offset;
    this.#buffer.addEventListener('updateend', () => this.#updated(), { signal: this.#stop.signal });
  }

  #updated() {
    const { buffered } = this.#buffer;
    // Whoever joined in the middle starts there.
    if (buffered.length && this.#audio.currentTime < buffered.start(0)) this.#audio.currentTime = buffered.start(0);
    this.#pump();
  }

  #pump() {
    if (this.#source.readyState !== 'open' || !this.#format) return;
    if (!this.#buffer) this.#open();
    if (this.#buffer.updating) return;
    if (this.#holding && this.#held < this.#target && !this.#ending) return;
    this.#holding = false;
    if (this.#source.streaming === false) return; // managed sources say when they want more
    this.#piece ??= this.#take();
    if (this.#piece) this.#append();
    else if (this.#ending) this.#source.endOfStream();
  }

  #take() {
    if (this.#queue.length === 0) return null;
    let size = 0;
    let count = 0;
    while (count < this.#queue.length && size < LARGEST_PIECE) size += this.#queue[count++].length;
    const piece = new Uint8Array(size);
    let at = 0;
    for (const payload of this.#queue.splice(0, count)) {
      piece.set(payload, at);
      at += payload.length;
    }
    if (this.#queue.length === 0) this.#held = 0;
    return piece;
  }

  #append() {
    try {
      this.#buffer.appendBuffer(this.#piece);
      this.#piece = null;
    } catch (problem) {
      if (problem.name !== 'QuotaExceededError') throw problem;
      // The piece stays; room is made behind the playhead, now or when it has moved on.
      const until = this.#audio.currentTime - KEEP_BEHIND;
      const { buffered } = this.#buffer;
      if (buffered.length && until > buffered.start(0)) this.#buffer.remove(0, until);
    }
  }

  #ranDry(onstall) {
    const { currentTime, buffered, seeking } = this.#audio;
    const begun = buffered.length && currentTime > buffered.start(0);
    if (!begun || seeking || this.#ending) return; // `waiting` also fires at the start and on every seek
    this.#holding = true;
    this.#target = Math.min(LONGEST_TARGET, this.#target * 2);
    onstall();
  }
}

export class UrlSink {
  #audio;
  #open;
  #whole;
  #onready;
  #ended = false;
  #own = null; // the object url of the whole song
  #stop = new AbortController();

  /**
   * `open()` resolves with the address of the song at the gateway, or null when this browser may not have one;
   * `whole()` gives the Blob once everything has arrived; `onready` asks the owner to call play() again.
   */
  constructor(audio, { open, whole, onready, onstall, onfail }) {
    this.#audio = audio;
    this.#open = open;
    this.#whole = whole;
    this.#onready = onready;
    const { signal } = this.#stop;
    audio.addEventListener('waiting', () => audio.currentTime > 0 && !audio.seeking && onstall(), { signal });
    audio.addEventListener('error', () => (this.#own ? onfail(audio.error) : this.#fallBack()), { signal });
  }

  async start() {
    const url = await this.#open();
    if (url && !this.#own && !this.#stop.signal.aborted) this.#use(url);
  }

  append() {} // the song keeps every payload itself

  end() {
    this.#ended = true;
    this.#fallBack();
  }

  close() {
    this.#stop.abort();
    this.#audio.removeAttribute('src');
    this.#audio.load();
    if (this.#own) URL.revokeObjectURL(this.#own);
  }

  // The element reads the gateway's url to its end by itself; only without one the whole song is handed to it.
  #fallBack() {
    const busy = this.#audio.src && !this.#audio.error;
    if (busy || !this.#ended) return;
    this.#own = URL.createObjectURL(this.#whole());
    this.#use(this.#own);
  }

  #use(url) {
    this.#audio.src = url;
    this.#onready();
  }
}
