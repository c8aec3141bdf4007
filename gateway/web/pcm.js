/* The sink for games and effects: PCM through an AudioWorklet at the announced rate, with the latency in our own hands.
 *
 * Invariant: the samples that are heard are those that came, but for the moments in which the stock is thin; the ring
 * holds a few seconds, the track holds all. It needs a secure context. Phones mute it with their ring switch and show no lock screen for it: on demand only.
 */

import { spectrum } from './media.js';

const RING = 4; // seconds in the ring at most
const USUAL_RATE = 48000; // the provider's, until another is announced
const SLOW = 0.985; // of the song's pace, where the stock is thin
const UNLOCK = 300; // ms after which a context that still sleeps counts as blocked
const STEPS = [Math.fround(1 / 32767), 1 / 32768]; // of a sample above and below zero, as browsers decode a wav

export class PcmSink {
  #track;
  #audio; // silent, but where volume and mute are kept
  #reports;
  #enough;
  #url;
  #context = null;
  #gain = null;
  #analyser = null;
  #node = null; // once the worklet runs
  #cursor = 0;
  #from;
  #epoch = 0;
  #began = 0; // the second of the song with which the ring's count began
  #sent = 0; // samples since then
  #told = { played: 0, stored: 0, dry: true, over: false };
  #holding = true;
  #whole = false; // whether the ring knows that nothing follows

  /** `worklet` is the address of worklet.js; the rest is as for every sink. */
  constructor(track, { audio, reports, enough, worklet, from = null }) {
    this.#track = track;
    this.#audio = audio;
    this.#reports = reports;
    this.#enough = enough;
    this.#url = worklet;
    this.#from = from;
    if (navigator.audioSession) navigator.audioSession.type = 'playback';
  }

  get #rate() {
    return this.#track.format?.sample_rate ?? USUAL_RATE;
  }

  get time() {
    return this.#began + this.#told.played / this.#rate;
  }

  get end() {
    return this.#began + this.#sent / this.#rate;
  }

  get ahead() {
    return this.end - this.time;
  }

  get ended() {
    return this.#told.over;
  }

  get running() {
    return this.#context?.state === 'running' && !this.#told.dry;
  }

  async play() {
    if (this.ended) this.seek(this.#track.start);
    this.#begin();
    const context = this.#context;
    // Without a gesture resume() stays pending for ever.
    await Promise.race([context.resume(), new Promise((done) => setTimeout(done, UNLOCK))]);
    return context.state !== 'suspended';
  }

  pause() {
    this.#context?.suspend();
  }

  seek(seconds) {
    this.#from = seconds;
    this.pump();
  }

  pump() {
    const { frames, ended, format, end } = this.#track;
    if (!format || !frames.length || !this.#node || !this.#fits()) return;
    if (this.#from !== null) {
      if (end <= this.#from && !ended) return;
      this.#clear(this.#from);
    }
    while (this.#cursor < frames.length && this.ahead < RING) {
      const next = frames[this.#cursor];
      if (this.#holding && !ended && !this.#enough(end - next.start)) return;
      if (this.#sent === 0) this.#began = Math.max(this.#began, next.start);
      else if (!this.#track.follows(this.#cursor, this.end)) this.#began += next.start - this.end; // a hole in the song
      this.#holding = false;
      this.#cursor += 1;
      const skip = Math.max(0, Math.round((this.#began - next.start) * format.sample_rate)) * (this.#sent === 0);
      const samples = planes(next.payload, format.channels, skip);
      this.#sent += samples[0].length;
      this.#node.port.postMessage({ samples }, samples.map(({ buffer }) => buffer));
    }
    if (!ended || this.#whole || this.#cursor < frames.length) return;
    this.#whole = true;
    this.#node.port.postMessage({ whole: true });
  }

  // Without another one's help a slower sound is a lower one, so it is very little slower.
  pace(slow) {
    this.#node?.port.postMessage({ pace: slow ? SLOW : 1 });
  }

  loud() {
    if (this.#gain) this.#gain.gain.value = this.#audio.muted ? 0 : this.#audio.volume;
  }

  analyser() {
    if (!this.#node) return null;
    if (!this.#analyser) {
      this.#analyser = spectrum(this.#context);
      this.#gain.connect(this.#analyser);
    }
    return this.#analyser;
  }

  close() {
    this.#context?.close();
    this.#context = this.#node = null;
  }

  // The context plays at the song's rate: at another one the ring would be slow and low.
  async #begin() {
    if (this.#context) return;
    const context = (this.#context = new AudioContext({ sampleRate: this.#rate }));
    this.#gain = new GainNode(context);
    this.#gain.connect(context.destination);
    this.loud();
    try {
      await context.audioWorklet.addModule(this.#url);
    } catch (problem) {
      return this.#context === context && this.#reports.onfail(problem);
    }
    if (this.#context !== context) return;
    const outputChannelCount = [this.#track.format?.channels ?? 2];
    this.#node = new AudioWorkletNode(context, 'wavegate-ring', { numberOfInputs: 0, outputChannelCount });
    this.#node.connect(this.#gain);
    this.#node.port.onmessage = ({ data }) => this.#hear(data);
    context.onstatechange = () => this.#reports.onchange('statechange');
    this.pump();
  }

  #fits() {
    if (this.#context.sampleRate === this.#rate) return true;
    this.#context.close();
    this.#context = this.#node = this.#analyser = null;
    this.#begin();
    this.#context.resume();
    return false;
  }

  #clear(seconds) {
    this.#from = null;
    this.#cursor = this.#track.at(seconds);
    this.#began = Math.max(seconds, this.#track.frames[this.#cursor].start);
    this.#sent = 0;
    this.#whole = false;
    this.#epoch += 1;
    this.#told = { played: 0, stored: 0, dry: true, over: false };
    this.#holding = true;
    this.#node.port.postMessage({ clear: this.#epoch });
  }

  #hear(told) {
    if (told.epoch !== this.#epoch) return;
    const ranDry = told.dry && !this.#told.dry && !this.#whole;
    this.#told = told;
    if (ranDry) {
      this.#holding = true;
      this.#reports.onstall();
    }
    this.#reports.onchange(told.over ? 'ended' : 'timeupdate');
    this.pump();
  }
}

/** Interleaved 16-bit samples, little-endian, as one array a channel; the first `skip` of each are left out. */
export function planes(payload, channels, skip = 0) {
  const view = new DataView(payload.buffer, payload.byteOffset, payload.byteLength);
  const count = Math.max(0, Math.floor(payload.length / 2 / channels) - skip);
  return Array.from({ length: channels }, (_, channel) => {
    const plane = new Float32Array(count);
    for (let i = 0; i < count; i++) {
      const value = view.getInt16(2 * ((skip + i) * channels + channel), true);
      plane[i] = value * STEPS[value < 0 ? 1 : 0];
    }
    return plane;
  });
}
