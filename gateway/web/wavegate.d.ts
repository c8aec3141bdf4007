/* The types of wavegate.js. Times of the song are in seconds, those of clocks in milliseconds, sizes in bytes. */

export type State = 'queued' | 'buffering' | 'playing' | 'paused' | 'reconnecting' | 'blocked' | 'ended' | 'failed';
export type SinkName = 'mse' | 'worklet' | 'element';
/** Over `fetch` there is no SHA-256 and no place in a queue, and the time of who joins live begins at 0. */
export type TransportName = 'ws' | 'fetch';
/** `"mp3"`, or one with wishes; where several are given, the best first. */
export type Format =
  | string
  | { codec: string; sample_rate?: number; channels?: number; bitrate?: number; loudness?: number };
export type Since = 'start' | 'live' | { seconds_ago: number } | { epoch: number; seq: number };

/** The provider's fields: those of songs, then those of speech. */
export interface SongInput {
  prompt?: string;
  lyrics?: string;
  gender?: 'female' | 'male';
  is_instrumental?: boolean;
  format?: 'mp3' | 'wav';
  enable_aigc_watermark?: boolean;
  text?: string;
  voice?: string;
  [field: string]: unknown;
}

export interface FormatInfo {
  codec: string;
  /** The exact string that MediaSource takes. */
  mime: string;
  /** Over the transport `fetch` the last three are known of PCM only. */
  sample_rate: number | null;
  channels: number | null;
  bitrate: number | null;
}

export interface StreamInfo {
  id: string;
  status: 'queued' | 'running' | 'completed' | 'failed' | 'cancelled';
  model: string;
  mode: 'stream' | 'file';
  created_at: number;
  duration_seconds: number;
  sample_rate: number | null;
  channels: number | null;
  lyrics: string | null;
  title: string | null;
  listeners: number;
  usage: { audio_seconds: number; settled: boolean; characters?: number };
  urls: { audio: string; hls: string | null; ws: string };
  error: ErrorBody | null;
  warnings: string[];
  simulated: boolean | null;
}

export interface ErrorBody {
  code: string;
  message: string;
  retryable: boolean;
  retry_after_ms: number | null;
  param: string | null;
}

export interface Frame {
  version: number;
  /** 1 audio, 2 init. */
  kind: number;
  flags: number;
  randomAccess: boolean;
  discontinuity: boolean;
  last: boolean;
  rendition: number;
  /** In samples at the announced rate, as `duration`. */
  pts: number;
  seq: number;
  duration: number;
  payload: Uint8Array<ArrayBuffer>;
}

export interface PlayOptions {
  /** The format, or several, best first. Without it the browser is asked what it can play. */
  format?: Format | Format[];
  /** How it is made to sound. Without it: `mse` where there is one. `worklet` needs a secure context. */
  sink?: SinkName;
  /** An element of the page's own, for one song at a time. The sink `worklet` only takes its volume from it. */
  audio?: HTMLAudioElement;
  /**
   * Seconds in stock before the sound begins. Without it: half a second, or what there is a quarter of a second after
   * the first byte; where little is left it is played up to 3 % slower for a while. With it the pace is never touched.
   * After a second stall it doubles, up to `maxBuffer`: 2.
   */
  startBuffer?: number;
  maxBuffer?: number;
  /** `live`: rather skip than lag behind. */
  onLag?: 'complete' | 'live';
}

export interface WavegateOptions extends PlayOptions {
  /** The gateway's address. Without it: where this script came from. */
  server?: string | URL;
  /** One ticket, or a function that fetches one for every connection and every request. */
  ticket?: string | null | (() => string | Promise<string>);
  /** A tenant's key: for demo gateways and kiosks only. */
  key?: string | null;
  /** Without it: `ws`, and `fetch` where no WebSocket can be opened. */
  transport?: TransportName;
  /** Where worklet.js is. Without it: beside this script. */
  worklet?: string | URL;
  /** Whether the keys of headphones and lock screens are answered: true. */
  mediaSession?: boolean;
  /** Aborting it is `close()`. */
  signal?: AbortSignal;
}

export interface CreateOptions extends PlayOptions {
  model?: string;
  mode?: 'stream' | 'file';
  share?: boolean;
  abandon?: string;
}

export interface AttachOptions extends PlayOptions {
  since?: Since;
}

export interface Support {
  mse: boolean;
  /** There is a ManagedMediaSource and no other: an iPhone. */
  managed: boolean;
  worklet: boolean;
  hls: boolean;
  /** In the order in which they are tried. */
  formats: { codec: string; mime: string; mse: boolean; element: boolean; why: string }[];
}

export interface Stats {
  /** From asking for the song until its first audio byte was here. */
  firstByteMs: number | null;
  /** From play() until the clock of the sound moved. */
  firstSoundMs: number | null;
  /** From the newest sound known of back to what is heard. */
  lagSeconds: number;
  /** What can be heard from here on without another byte. */
  bufferedSeconds: number;
  bytes: number;
  frames: number;
  gaps: number;
  stalls: number;
  stallSeconds: number;
  /** Whether it is played a little slower at the moment, for little is left. */
  slow: boolean;
  reconnects: number;
  listeners: number | null;
  format: FormatInfo | null;
  sink: SinkName;
  /** Of what is heard: the sink `element` fetches the sound itself, beside what the song is told. */
  transport: TransportName;
  /** How it came to this format, sink and transport, in a sentence. */
  why: string;
}

/** One limit, 0 for none; it starts anew at `resets_at`, in Unix seconds. */
export interface Budget {
  limit: number;
  used: number;
  remaining: number | null;
  resets_at: number | null;
}

/** What listeners are given: `event.detail` of an event, the argument of a function given to `on`. */
export interface SongEvents {
  state: State;
  created: { stream: StreamInfo };
  queued: { stream_id: string; position: number; eta_ms: number | null };
  started: {
    stream_id: string;
    epoch: number;
    seq: number;
    format: FormatInfo;
    rendition?: number;
    recovered?: boolean;
  };
  frame: Frame;
  metadata: {
    stream_id: string;
    pts?: number;
    lyrics?: string | null;
    title?: string | null;
    listeners?: number;
    generated_seconds?: number;
    /** Nothing new has come for long, or digital silence; null once it sounds again. */
    silent?: 'still' | 'silence' | null;
  };
  gap: { from_seq: number; to_seq: number; reason: string };
  /** The sound has run dry; the stock that is now waited for, in seconds. */
  stall: { target: number };
  /** Over the transport `fetch` only the first two are known. */
  completed: {
    stream_id: string;
    duration_seconds: number;
    frames?: number;
    bytes?: number;
    /** Of the joined payloads, the init first. */
    sha256?: string;
    usage?: StreamInfo['usage'];
  };
  verified: boolean;
  error: WavegateError;
}

export interface WavegateEvents {
  session: { session_id: string; tenant: string; limits: Record<string, number>; server_time: number };
  /** A connection broke, or could not be had, and is tried again after `delay` ms. */
  lost: { code: number; delay: number };
  /** What the tenant has left; `warnings` names the limits of which four fifths are used. */
  quota: {
    concurrent_streams: Budget;
    audio_seconds_per_day: Budget;
    audio_seconds_per_month: Budget;
    egress_bytes_per_day: Budget;
    warnings: string[];
  };
  error: WavegateError;
}

declare class Emitter<Events> extends EventTarget {
  /** Calls `listener` with the detail of every such event. Returns a function that ends it. */
  on<Name extends keyof Events & string>(name: Name, listener: (detail: Events[Name]) => void): () => void;
  addEventListener<Name extends keyof Events & string>(
    name: Name,
    listener: ((event: CustomEvent<Events[Name]>) => void) | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
  addEventListener(
    name: string,
    listener: EventListenerOrEventListenerObject | null,
    options?: boolean | AddEventListenerOptions,
  ): void;
}

export class Wavegate extends Emitter<WavegateEvents> {
  constructor(options?: WavegateOptions);
  /** What this browser can play, asked of the browser. */
  static supports(): Support;
  /** Resolves once the gateway has let us in; create and attach do it by themselves. */
  connect(): Promise<WavegateEvents['session'] | null>;
  /** Buys a song, once, however often the connection breaks. Call `play()` on it in the same click. */
  create(input: SongInput, options?: CreateOptions): Song;
  /** Joins a song. */
  attach(id: string, options?: AttachOptions): Song;
  /** The tenant's streams, newest first. Needs the key. */
  streams(): Promise<StreamInfo[]>;
  stream(id: string): Promise<StreamInfo>;
  /** Leaves every song, and the gateway. */
  close(): void;
}

export class Song extends Emitter<SongEvents> {
  private constructor();
  /** Null until the gateway has answered the order. */
  readonly id: string | null;
  /** Of a song that was bought here, as it was when it was taken. */
  readonly info: StreamInfo | null;
  readonly title: string | null;
  readonly lyrics: string | null;
  /** What the provider sends: nothing new for long (still), or digital silence; null while it sounds. */
  readonly silent: 'still' | 'silence' | null;
  readonly format: FormatInfo | null;
  readonly error: WavegateError | null;
  /** Whether all that arrived is, by its SHA-256, the song; null: not known, or cannot be known here. */
  readonly verified: boolean | null;
  /** Resolves once the gateway has taken the order or let us in; rejects with the WavegateError if it does not. */
  readonly ready: Promise<Song>;
  readonly state: State;
  /** Whether sound is held back here, whatever the connection does. */
  readonly paused: boolean;
  /** The whole song is here. */
  readonly completed: boolean;
  /** No more sound will come. */
  readonly finished: boolean;
  /** Song time of what is heard; setting it is `seek`. */
  currentTime: number;
  /** Seconds of sound made so far; final once completed. */
  readonly duration: number;
  volume: number;
  muted: boolean;
  readonly stats: Stats;
  /** Call it inside the click. Resolves once it plays or is known to be blocked; a later one, in a tap, unblocks. */
  play(): Promise<void>;
  pause(): void;
  /** Goes there, or to the newest sound if that is earlier; what was not joined is fetched. */
  seek(seconds: number): void;
  /** Ends the generation for everybody. Needs the key. Resolves once it has ended. */
  cancel(): Promise<void>;
  /** A tap on the real signal, made when first asked for; null before the sound moves and while it is not allowed. */
  analyser(): AnalyserNode | null;
  /** What has arrived, as a file; the whole song once completed. */
  blob(): Blob;
  /** Leaves: this listener is gone, the song goes on for others. */
  close(): void;
}

export class WavegateError extends Error {
  constructor(body: Partial<ErrorBody>, closeCode?: number | null);
  /** One of the gateway's codes, or `unreachable`, `connection_lost`, `playback_failed`, `unsupported_format`. */
  readonly code: string;
  readonly retryable: boolean;
  readonly retryAfterMs: number | null;
  readonly param: string | null;
  /** Of the WebSocket, if that was closed. */
  readonly closeCode: number | null;
}

/** Reads the 24 bytes before each payload. Raises RangeError for what is no frame. */
export function readFrame(buffer: ArrayBuffer): Frame;
