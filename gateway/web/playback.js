/* The <audio> element and what is known of its sound: wanted or not, blocked or not, moving or not, since when.
 *
 * Invariant: `moving` means that the element's clock has really advanced; `playing` events are not believed, for they
 * fire before anything is heard. It chooses the sink by asking the browser; it knows no gateway and no frames.
 */

import { MediaSourceSink, UrlSink, plays } from './sink.js';

const EXPECTED = 'audio/mpeg'; // the provider's own format, until the gateway has announced another
const POLL = 10; // ms between two looks at the clock while the first sound is awaited

export class Playback {
  wanted = false;
  blocked = false;
  moving = false;
  firstSoundMs = null; // from the play() that brought it

  #audio;
  #reports;
  #sink = null;
  #graph = null;
  #poll = null;
  #stop = new AbortController();

  /** `reports`: {open, whole, onchange, onstall, onfail}; the first two serve browsers that cannot play pieces. */
  constructor(audio, reports) {
    this.#audio = audio;
    this.#reports = { ...reports, onready: () => this.wanted && this.#begin() };
    const { signal } = this.#stop;
    for (const name of ['timeupdate', 'pause', 'waiting', 'ended']) {
      audio.addEventListener(name, () => this.#changed(name), { signal });
    }
    if (plays(EXPECTED)) this.expect(EXPECTED);
  }

  get ended() {
    return this.#audio.ended;
  }

  get time() {
    return this.#audio.currentTime;
  }

  /** Seeks, within what is here. */
  set time(seconds) {
    const { buffered } = this.#audio;
    if (!buffered.length) return;
    const latest = buffered.end(buffered.length - 1) - 0.05;
    this.#audio.currentTime = Math.max(buffered.start(0), Math.min(seconds, latest));
  }

  /** Seconds that can be heard from here on without another byte. */
  get ahead() {
    const { buffered, currentTime } = this.#audio;
    for (let i = buffered.length - 1; i >= 0; i--) {
      if (buffered.start(i) <= currentTime + 0.1) return Math.max(0, buffered.end(i) - currentTime);
    }
    return 0;
  }

  /** Resolves once it plays or is known to be blocked. */
  play() {
    this.wanted = true;
    if (this.firstSoundMs === null) this.#awaitFirstSound();
    return this.#begin();
  }

  pause() {
    this.wanted = false;
    this.#audio.pause();
    this.#reports.onchange();
  }

  /** Makes the element ready for this MIME type; the sink that is there stays when it will do. */
  expect(mime) {
    const streaming = plays(mime);
    if (this.#sink && streaming === this.#sink instanceof MediaSourceSink) return;
    this.#sink?.close();
    this.#sink = new (streaming ? MediaSourceSink : UrlSink)(this.#audio, this.#reports);
    if (this.wanted) this.#begin();
  }

  start(mime, offset) {
    this.#sink.start(mime, offset);
  }

  append(payload, seconds) {
    this.#sink.append(payload, seconds);
  }

  end() {
    this.#sink.end();
  }

  /** Forgets all sound; `expect` comes next. */
  restart() {
    this.#sink?.close();
    this.#sink = null;
    this.moving = false;
  }

  close() {
    clearInterval(this.#poll);
    this.#stop.abort();
    this.#audio.pause();
    this.#sink?.close();
    this.#graph?.context.close();
  }

  /** A tap on the real signal, made when first asked for; null until the browser lets an AudioContext run. */
  analyser() {
    // Before the page was touched a context could not run, and asking for one would only be warned about.
    const allowed = navigator.userActivation?.hasBeenActive ?? this.moving;
    if (!this.#graph && allowed) this.#graph = { context: new AudioContext(), node: null };
    const graph = this.#graph;
    if (!graph) return null;
    if (graph.context.state !== 'running') {
      graph.context.resume();
      return graph.node;
    }
    // An element routed into a sleeping context is silent, so it is routed only into one that runs.
    if (!graph.node) {
      graph.node = new AnalyserNode(graph.context, { fftSize: 2048, smoothingTimeConstant: 0.75 });
      graph.context.createMediaElementSource(this.#audio).connect(graph.node).connect(graph.context.destination);
    }
    return graph.node;
  }

  async #begin() {
    this.blocked = false;
    try {
      await this.#audio.play();
    } catch (refusal) {
      this.blocked = refusal.name === 'NotAllowedError'; // an AbortError is only a source that was exchanged
    }
    this.#reports.onchange();
  }

  #awaitFirstSound() {
    const asked = performance.now();
    let last = { at: asked, time: this.#audio.currentTime };
    clearInterval(this.#poll);
    this.#poll = setInterval(() => {
      const now = { at: performance.now(), time: this.#audio.currentTime };
      const step = now.time - last.time;
      const jump = step > (now.at - last.at) / 1000 + 0.1; // a seek to where a late joiner begins is not sound
      last = now;
      if (step <= 0 || jump) return;
      clearInterval(this.#poll);
      this.firstSoundMs = now.at - asked;
      this.#changed('timeupdate');
    }, POLL);
  }

  #changed(event) {
    const { paused, readyState, ended } = this.#audio;
    this.moving = event === 'timeupdate' && this.firstSoundMs !== null && !paused && readyState > 2;
    if (event === 'pause' && !ended) this.wanted = false; // headphones and media keys pause behind our back
    this.#reports.onchange();
  }
}
