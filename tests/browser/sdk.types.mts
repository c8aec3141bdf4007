// Uses whatever wavegate.d.ts declares, and wrongly where that must not compile. It is compiled, and never run.

import {
  Song,
  Wavegate,
  WavegateError,
  readFrame,
  type AttachOptions,
  type Frame,
  type State,
  type StreamInfo,
  type Support,
} from '../../gateway/web/wavegate.js';

import '../../gateway/web/wavegate-player.js';

const gate = new Wavegate({
  server: 'https://music.example',
  ticket: async () => 'wt_x',
  format: ['mp3', { codec: 'webm', bitrate: 96000 }],
  sink: 'mse',
  transport: 'fetch',
  startBuffer: 0.5,
  signal: AbortSignal.timeout(1000),
});
new Wavegate();
new Wavegate({ key: 'demo', ticket: null });

const song: Song = gate.create({ prompt: 'rain' }, { model: 'fun-music-v1', audio: new Audio(), sink: 'worklet' });
const late: AttachOptions = { since: { seconds_ago: 2 }, onLag: 'live' };
const id: Promise<string | null> = gate.attach('st_x', late).ready.then((one) => one.id);
const off: () => void = song.on('state', (state: State) => void (state === 'blocked' && song.play()));
song.addEventListener('error', ({ detail }) => detail.closeCode?.toFixed());
song.addEventListener('frame', ({ detail }: CustomEvent<Frame>) => readFrame(detail.payload.buffer));
song.on('stall', ({ target }) => target.toFixed());
gate.on('lost', ({ delay }) => delay.toFixed());
gate.addEventListener('session', ({ detail }) => detail?.tenant.trim());
gate.on('quota', ({ audio_seconds_per_day: day, warnings }) => [day.remaining?.toFixed(), warnings.join()]);
song.on('completed', ({ sha256, bytes, frames, usage }) => [sha256?.trim(), bytes ?? frames, usage?.settled]);
const player = document.createElement('wavegate-player');
player.ticket = async () => 'wt_x';
player.play().then(() => player.song?.title);
document.body.addEventListener('wavegate-completed', ({ detail }) => detail.duration_seconds.toFixed());
song.currentTime = song.duration - 1;
song.seek(3);
song.volume = 0.5;
song.muted = true;
song.stats.sink satisfies 'mse' | 'worklet' | 'element';
song.stats.stallSeconds.toFixed();
song.stats.slow satisfies boolean;
const spectrum: AnalyserNode | null = song.analyser();
const file: Blob = song.blob();
const can: Support = Wavegate.supports();
const streams: Promise<StreamInfo[]> = gate.streams();
const done: Promise<void> = song.cancel();
const broken = new WavegateError({ code: 'unreachable' }, 1006).retryAfterMs satisfies number | null;
void [off, id, spectrum, file, can, streams, done, broken];

// @ts-expect-error: what is told cannot be set
song.state = 'playing';
// @ts-expect-error: there is no such event
song.on('nothing', () => {});
// @ts-expect-error: songs come from a gateway
new Song();
// @ts-expect-error: there is no such sink
gate.attach('st_x', { sink: 'flash' });
// @ts-expect-error: a second is a number
song.seek('3');
