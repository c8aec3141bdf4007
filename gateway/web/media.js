/* What the sinks have in common that play through an <audio> element.
 *
 * Invariant: an element is routed through Web Audio only while that runs, and once for ever: browsers allow one route.
 * It knows an element; where its sound comes from is its heirs' business.
 */

const SLOW = 0.97; // of the song's pace, where the stock is thin
const graphs = new WeakMap(); // element -> {context, node}

export class MediaSink {
  #pace = null; // what it is to go on at, while it stands still

  /** `reports`: {onchange(event), onstall(), onfail(problem)}. */
  constructor(audio, reports) {
    this.audio = audio;
    this.reports = reports;
    this.stop = new AbortController();
    for (const name of ['timeupdate', 'pause', 'waiting', 'ended']) this.listen(name, () => reports.onchange(name));
  }

  listen(name, act, target = this.audio) {
    target.addEventListener(name, act, { signal: this.stop.signal });
  }

  get time() {
    return this.audio.currentTime;
  }

  get ended() {
    return this.audio.ended;
  }

  get running() {
    return !this.audio.paused && this.audio.readyState > 2;
  }

  /** Seconds that the element has from here on. */
  get ahead() {
    const { buffered, currentTime } = this.audio;
    for (let i = buffered.length - 1; i >= 0; i--) {
      if (buffered.start(i) <= currentTime + 0.1) return Math.max(0, buffered.end(i) - currentTime);
    }
    return 0;
  }

  /** Seconds of the song up to where the element can play. */
  get end() {
    const { buffered } = this.audio;
    return buffered.length ? buffered.end(buffered.length - 1) : 0;
  }

  /** Resolves with whether it may sound. */
  async play() {
    try {
      await this.audio.play();
    } catch (refusal) {
      return refusal.name !== 'NotAllowedError'; // an AbortError is only a source that was exchanged
    }
    return true;
  }

  pause() {
    this.audio.pause();
  }

  /** Ready to sound, and silent: at the pace 0, for a pause would ask for another gesture. */
  standStill() {
    if (this.#pace !== null || this.audio.playbackRate === 0) return;
    this.#pace = this.audio.playbackRate;
    this.audio.playbackRate = 0;
  }

  /** At the pace it had. */
  goOn() {
    if (this.#pace !== null && this.audio.playbackRate === 0) this.audio.playbackRate = this.#pace;
    this.#pace = null;
  }

  /** Called when the track has grown, or has ended. */
  pump() {}

  /** A little slower, at the same pitch, or no longer so. Whoever has chosen a pace of their own keeps it. */
  pace(slow) {
    const [from, to] = slow ? [1, SLOW] : [SLOW, 1];
    if (this.audio.playbackRate === from) this.audio.playbackRate = to;
  }

  /** Called when volume or mute of the element were changed. */
  loud() {}

  analyser(moving) {
    // Where nobody has touched the page, such as in OBS, sound that moves is proof enough that a context may run.
    const allowed = navigator.userActivation?.hasBeenActive || !this.audio.muted;
    if (!graphs.has(this.audio) && moving && allowed) {
      graphs.set(this.audio, { context: new AudioContext(), node: null });
    }
    const graph = graphs.get(this.audio);
    if (!graph) return null;
    if (graph.context.state !== 'running') {
      graph.context.resume();
      return graph.node;
    }
    if (!graph.node) {
      graph.node = spectrum(graph.context);
      graph.context.createMediaElementSource(this.audio).connect(graph.node).connect(graph.context.destination);
    }
    return graph.node;
  }

  /** Lets the element go. One that was made for the song alone takes its Web Audio with it. */
  close(last = false) {
    this.stop.abort();
    this.goOn();
    this.audio.pause();
    this.audio.removeAttribute('src');
    this.audio.load();
    if (last) graphs.get(this.audio)?.context.close();
  }
}

export function spectrum(context) {
  return new AnalyserNode(context, { fftSize: 2048, smoothingTimeConstant: 0.75 });
}
