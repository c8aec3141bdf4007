/* The player page: finds out who the visitor is, then joins the form, the stage and the panels to one gateway.
 *
 * Invariant: sound is asked for inside the click. Credentials come from the address's hash, else from a demo gateway,
 * else from the visitor, and are kept nowhere. An order that was refused for the moment is made again by itself.
 */

import { Composer } from './composer.js';
import { Notice } from './notice.js';
import { Panel } from './panel.js';
import { Quota } from './quota.js';
import { Rest } from './rest.js';
import { Share } from './share.js';
import { Songs } from './songs.js';
import { Stage } from './stage.js';
import { choose, language, LANGUAGES, onLanguage, remember, remembered, speak, t } from './texts.js';
import { Wavegate } from './wavegate.js';

const THEMES = ['auto', 'light', 'dark'];
const PATIENCE = 120; // seconds a refused order is waited for
const CUT = 3_000; // ms
const TICKET_ERRORS = new Set(['bad_credentials', 'credentials_expired', 'ticket_used', 'missing_credentials', 'forbidden']);
const STILL_THERE = new Set(['playback_failed', 'unreachable']);
const GONE = new Set(['stream_not_found', 'going_away', 'upstream_interrupted']);
const orders = new WeakMap(); // song -> what orders such another one
const part = (id) => document.getElementById(id);

settings();
await speak();
const address = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
addEventListener('hashchange', () => location.reload());
const credentials = await introduce();
const owner = Boolean(credentials.key);
const guest = !owner && Boolean(address.stream); // came to hear one song
const scissors = owner ? await import('./cut.js') : null;
scissors?.install();
const gate = new Wavegate({ server: location.origin, ...credentials });
const rest = new Rest(credentials);
const notice = new Notice();
let tenant = null;
let clips = null;

part('room').hidden = false;
part('room').classList.toggle('guest', guest);
part('desk').hidden = guest;
const stage = new Stage(broken, revive);
const composer = guest ? null : new Composer(compose);
const panel = new Panel(owner ? ['songs', 'share', 'clip', 'words'] : ['words', 'clip']);
const songs = owner ? new Songs(rest, join, reached) : null;
const share = owner ? new Share(rest, () => tenant, report) : null;
if (owner) new Quota(gate);
panel.on('share', () => share.open());
panel.on('clip', cutting);
part('cut').hidden = !scissors;
part('cut').addEventListener('click', () => scissors.cut(CUT));
gate.addEventListener('session', ({ detail }) => {
  ({ tenant } = detail);
  if (['unreachable', 'offline'].includes(notice.code)) notice.hide();
});
// What ended a song, or an order, has been told there, with a way on.
gate.addEventListener('error', ({ detail }) => stage.song?.error || notice.code === detail.code || report(detail));
addEventListener('offline', () => notice.show({ code: 'offline', message: t.offline }));
addEventListener('online', () => notice.code === 'offline' && notice.hide());
if (address.stream) await arrive(address.stream);
else gate.connect().catch(() => {}); // a handshake less between the click and the first sound

/** A ticket in the hash, the demo's key, or what the visitor types. */
async function introduce() {
  if (address.ticket) return { ticket: address.ticket };
  try {
    const answer = await fetch('/demo.json');
    const { key } = await answer.json();
    if (key) return { key };
  } catch {
    // Not reachable now: the connection will say so in words.
  }
  return { ticket: await askForTicket() };
}

function askForTicket() {
  const form = part('entry');
  part('room').hidden = true;
  form.hidden = false;
  form.ticket.focus();
  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      form.hidden = true;
      resolve(form.ticket.value.trim());
    });
  });
}

function compose(input, options) {
  notice.hide();
  composer.busy(true);
  const asked = performance.now();
  const song = gate.create(input, options);
  orders.set(song, () => compose(input, options));
  song.play();
  // The song that plays goes on until the gateway has taken the new one.
  song.addEventListener('created', () => {
    composer.busy(false);
    show(song, { ...song.info, asked });
    // The next press of the same key is meant for this song: it must not buy another one.
    if (document.activeElement === part('go')) part('toggle').focus({ preventScroll: true });
  });
  song.addEventListener('error', ({ detail }) => {
    if (song.id) return;
    composer.busy(false);
    song.close();
    if (detail.param?.startsWith('input')) return composer.problem(composer.tooMuch() ?? detail.message);
    const seconds = detail.retryAfterMs && detail.retryAfterMs / 1000;
    const action = detail.retryable && { label: seconds ? 'now' : 'retry', run: () => compose(input, options), seconds };
    report(detail, seconds > PATIENCE ? null : action);
  });
}

function join(stream, since = 'start') {
  const song = gate.attach(stream.id, { since });
  if (orders.has(stream)) orders.set(song, orders.get(stream));
  song.play();
  show(song, stream);
}

/** By a link: only what is still being made can be joined live. */
async function arrive(id) {
  let stream = { id };
  try {
    stream = await rest.stream(id);
  } catch (problem) {
    if (owner) return report(problem); // a guest's ticket may be for the socket alone, and the socket tells the rest
  }
  join(stream, stream.status === 'completed' ? 'start' : address.since);
}

async function label(id) {
  const { simulated } = await rest.stream(id).catch(() => ({}));
  stage.simulated(simulated);
}

function show(song, { title, lyrics, simulated, asked }) {
  const hash = new URLSearchParams({ ...(address.ticket && { ticket: address.ticket }), stream: song.id, since: 'live' });
  stage.show(song, { title, lyrics, asked, second: `/#${hash}` });
  stage.simulated(simulated);
  songs?.here(song.id);
  share?.song(song.id, 'mp3');
  if (['share', 'clip'].includes(panel.shown)) panel.open(panel.shown);
  for (const event of ['completed', 'error']) song.addEventListener(event, () => songs?.refresh());
  // Who makes the music is known only once it has begun.
  if (typeof simulated !== 'boolean') song.addEventListener('started', () => label(song.id), { once: true });
  if (part('stage').getBoundingClientRect().top > innerHeight / 2) {
    const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
    part('stage').scrollIntoView({ behavior: still ? 'auto' : 'smooth', block: 'start' });
  }
}

/** A song that was there can be joined again, or, where it is no more, ordered again; nothing where neither helps. */
function wayBack({ code, retryable }, song) {
  if (STILL_THERE.has(code)) return () => join(song);
  return (retryable || GONE.has(code)) && orders.get(song);
}

function broken(error, song) {
  const again = wayBack(error, song);
  report(error, again ? { label: 'retry', run: again } : null, song.stats.frames ? 'kept' : null);
}

/** The play button of a song that failed without a sound does what the notice offered, or tells once more what is wrong. */
function revive(song) {
  const again = wayBack(song.error, song);
  if (!again) return broken(song.error, song);
  notice.hide();
  again();
}

/** The gateway has answered over HTTP: a connection that was given up is tried again. */
async function reached() {
  if (notice.code !== 'unreachable' || !(await gate.connect().then(() => true, () => false))) return;
  if (notice.code === 'unreachable') notice.hide();
  if (stage.song?.error?.code === 'unreachable') songs.here(null); // its row offers it anew
}

function report(error, action = null, extra = null) {
  if (TICKET_ERRORS.has(error.code) && !owner) action = { label: 'newTicket', run: anotherTicket };
  else if (error.code === 'unreachable' && !action) action = { label: 'retry', run: () => gate.connect().catch(() => {}) };
  notice.show(error, { extra, action });
}

async function anotherTicket() {
  const hash = new URLSearchParams({ ...address, ticket: await askForTicket() });
  location.hash = hash;
}

async function cutting() {
  if (!stage.song) return;
  const { Clips } = await import('./clips.js');
  clips ??= new Clips(rest, report, () => stage.song?.pause());
  clips.song(stage.song, () => stage.picture);
}

/** Language, colours, and the keys' own page: what works before anybody is let in. */
function settings() {
  const theme = () => THEMES.find((name) => name === remembered('wavegate.theme')) ?? 'auto';
  const paint = () => {
    document.documentElement.dataset.theme = theme();
    if (t) part('theme').ariaLabel = part('theme').title = t.theme[theme()];
  };
  paint();
  part('theme').addEventListener('click', () => {
    remember('wavegate.theme', THEMES[(THEMES.indexOf(theme()) + 1) % THEMES.length]);
    paint();
  });
  const other = () => LANGUAGES.find((name) => name !== language);
  part('language').addEventListener('click', () => choose(other()));
  onLanguage(() => {
    part('settings').hidden = false;
    part('language').textContent = { en: 'EN', zh: '中文' }[other()];
    part('language').lang = other();
    paint();
  });
  const keys = part('keys');
  part('help').addEventListener('click', () => keys.showModal());
  document.addEventListener('keydown', (event) => {
    if (event.key !== '?' || keys.open || event.target.closest('input:not([type=range]), textarea, select')) return;
    keys.showModal();
  });
}
