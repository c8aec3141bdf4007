/* The keys of headphones, keyboards and lock screens, for the song that was played last.
 *
 * Invariant: one song at a time has the keys, and gives them back when it is left; a page's own title stays.
 */

const STEP = 10; // seconds that a key seeks by, where the system names none
const ACTIONS = {
  play: (song) => song.play(),
  pause: (song) => song.pause(),
  seekbackward: (song, { seekOffset }) => song.seek(song.currentTime - (seekOffset ?? STEP)),
  seekforward: (song, { seekOffset }) => song.seek(song.currentTime + (seekOffset ?? STEP)),
  seekto: (song, { seekTime }) => song.seek(seekTime),
};

const session = globalThis.navigator?.mediaSession;
let owner = null;
let title = null; // the one that was shown here

export function claimKeys(song) {
  if (owner === song || !session) return;
  owner = song;
  handle((act) => (how) => act(song, how));
  nameKeys(song);
}

export function nameKeys(song) {
  const free = !session?.metadata || session.metadata === title;
  if (owner === song && song.title && free) session.metadata = title = new MediaMetadata({ title: song.title });
}

export function releaseKeys(song) {
  if (owner !== song) return;
  owner = null;
  handle(() => null);
}

function handle(handler) {
  for (const [name, act] of Object.entries(ACTIONS)) {
    try {
      session.setActionHandler(name, handler(act));
    } catch {
      // A key that this browser does not know.
    }
  }
}
