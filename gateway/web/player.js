/* The player page: finds out who the visitor is, then joins the form, the stage and the list to one gateway.
 *
 * Invariant: sound is asked for inside the click. Credentials come from the address's hash, else from a demo gateway,
 * else from the visitor, and are kept nowhere.
 */

import { Composer } from './composer.js';
import { Stage } from './stage.js';
import { TEXTS } from './texts.js';
import { Together } from './together.js';
import { Wavegate } from './wavegate.js';

for (const element of document.querySelectorAll('[data-text]')) element.textContent = TEXTS[element.dataset.text];

const address = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
addEventListener('hashchange', () => location.reload());
const credentials = await introduce();
const gate = new Wavegate(credentials);
document.getElementById('room').hidden = false;
const stage = new Stage(TEXTS);
const composer = new Composer(TEXTS, compose);
const together = credentials.key ? new Together(TEXTS, gate, join) : null;
gate.addEventListener('error', ({ detail }) => {
  if (!stage.song?.error) stage.alert(detail);
});
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
  const form = document.getElementById('entry');
  form.hidden = false;
  form.ticket.focus();
  return new Promise((resolve) => {
    form.addEventListener('submit', (event) => {
      event.preventDefault();
      form.hidden = true;
      resolve({ ticket: form.ticket.value.trim() });
    });
  });
}

function compose(input, options) {
  stage.quiet();
  composer.busy(true);
  const song = gate.create(input, options);
  song.play();
  // The song that plays goes on until the gateway has taken the new one.
  song.addEventListener('created', () => {
    composer.busy(false);
    show(song, song.info);
  });
  song.addEventListener('error', ({ detail }) => {
    if (song.id) return;
    composer.busy(false);
    song.close();
    if (detail.param?.startsWith('input')) composer.problem(detail.message);
    else stage.alert(detail);
  });
}

function join(stream, since = 'start') {
  const song = gate.attach(stream.id, { since });
  song.play();
  show(song, stream);
}

/** By a link: only what is still being made can be joined live. */
async function arrive(id) {
  let stream = { id };
  try {
    if (credentials.key) stream = await gate.stream(id);
  } catch (problem) {
    return stage.alert(problem.code ? problem : { code: 'unreachable', message: problem.message });
  }
  join(stream, stream.status === 'completed' ? 'start' : address.since);
}

async function label(id) {
  const { simulated } = await gate.stream(id).catch(() => ({}));
  stage.simulated(simulated);
}

function show(song, { title, simulated }) {
  const hash = new URLSearchParams({ ...(address.ticket && { ticket: address.ticket }), stream: song.id, since: 'live' });
  stage.show(song, { title: title ?? TEXTS.songOf(song.id), second: `/#${hash}` });
  stage.simulated(simulated);
  together?.here(song.id);
  for (const event of ['completed', 'error']) song.addEventListener(event, () => together?.refresh());
  // Who makes the music is known only once it has begun.
  if (together) song.addEventListener('started', () => label(song.id));
  const still = matchMedia('(prefers-reduced-motion: reduce)').matches;
  document.getElementById('stage').scrollIntoView({ behavior: still ? 'auto' : 'smooth', block: 'nearest' });
}
