/* The types of wavegate-player.js: the element, and what it tells its page. */

import type { Song, SongEvents } from './wavegate.js';

export class WavegatePlayer extends HTMLElement {
  /** The ticket, or the function that fetches one. */
  ticket: string | null | (() => string | Promise<string>);
  /** From the first play() on. */
  readonly song: Song | null;
  /** Call it inside a click. */
  play(): Promise<void>;
  pause(): void;
}

type PlayerEvents = {
  [Name in Exclude<keyof SongEvents, 'frame'> as `wavegate-${Name}`]: CustomEvent<SongEvents[Name]>;
};

declare global {
  interface HTMLElementTagNameMap {
    'wavegate-player': WavegatePlayer;
  }
  // They bubble: every element around it may listen.
  interface HTMLElementEventMap extends PlayerEvents {}
}
