/* The overlay for OBS: title, a line of the lyrics and the spectrum of one song, on nothing.
 *
 * Invariant: it is seen only while something is heard; what goes wrong is never shown to an audience, it is tried again.
 * #stream=…&ticket=… says what is played; ?bars=8 to 128, ?font=NAME, ?lyrics=0 how it looks. No provider tells when a
 * line is sung: once the song is whole its lines are shared out evenly over it.
 */

import { Bands, prepare } from './pictures.js';
import { Rest } from './rest.js';
import { Wavegate } from './wavegate.js';

const SILENCE = 2_000; // ms after which it fades out
const LEVEL = 0.03; // of a band, above which something is heard
const AGAIN = 5_000; // ms until a song that failed is tried again
const FINAL = new Set(['stream_not_found', 'bad_credentials', 'credentials_expired', 'ticket_used', 'content_rejected', 'cancelled']);
const query = new URLSearchParams(location.search);
const { stream, ticket } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
const [place, title, line, canvas] = ['overlay', 'title', 'line', 'bars'].map((id) => document.getElementById(id));
const bands = new Bands(Math.min(128, Math.max(8, Number(query.get('bars')) || 48)));
let song = null;
let info = {}; // StreamInfo, as far as the ticket may see it
let heardAt = -SILENCE;
const audio = new Audio();

addEventListener('hashchange', () => location.reload());
if (query.has('font')) document.documentElement.style.setProperty('--font', `"${query.get('font').replace(/["\\]/g, '')}"`);
line.hidden = query.get('lyrics') === '0';
if (stream) {
  join();
  document.addEventListener('click', () => song?.play()); // outside OBS a browser may want a tap
  setInterval(draw, 33); // OBS draws hidden sources, too
}

async function join() {
  const gate = new Wavegate({ server: location.origin, ticket, mediaSession: false });
  info = await new Rest({ ticket }).stream(stream).catch(() => info);
  // Of a song that is whole the live edge is its end.
  song = gate.attach(stream, { audio, since: info.status === 'completed' ? 'start' : 'live' });
  song.addEventListener('error', ({ detail }) => {
    gate.close();
    if (!FINAL.has(detail.code)) setTimeout(join, AGAIN);
  });
  song.play();
}

function draw() {
  if (!song) return;
  const moving = song.state === 'playing';
  bands.listen(moving ? song.analyser() : null);
  const { context, width, height, colours } = prepare(canvas);
  const step = width / bands.levels.length;
  context.strokeStyle = colours.heard;
  context.lineCap = 'round';
  context.lineWidth = Math.max(2, step * 0.55);
  context.beginPath();
  bands.levels.forEach((level, band) => {
    const x = (band + 0.5) * step;
    context.moveTo(x, height - context.lineWidth);
    context.lineTo(x, height - context.lineWidth - level * (height - 2 * context.lineWidth));
  });
  context.stroke();
  if (moving && bands.levels.some((level) => level > LEVEL)) heardAt = performance.now();
  place.dataset.heard = String(performance.now() - heardAt < SILENCE);
  write(title, song.title ?? info.title ?? '');
  write(line, sung());
}

function sung() {
  const lines = (song.lyrics ?? info.lyrics ?? '').split('\n').map((one) => one.trim()).filter((one) => one && !one.startsWith('['));
  if (!song.completed || !lines.length) return '';
  return lines[Math.min(lines.length - 1, Math.floor((song.currentTime / song.duration) * lines.length))];
}

function write(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
