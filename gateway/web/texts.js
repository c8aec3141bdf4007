/* The words of a page in the visitor's language, and the change of it while music plays.
 *
 * Invariant: an element with `data-text` or `data-label` has no words of its own: they are put in here, again at every
 * change. `t` is the one table in use; whoever has written words elsewhere is called by `onLanguage`.
 */

const CHOICE = 'wavegate.language';
const listeners = [];

export const LANGUAGES = ['en', 'zh'];
export let t;
export let language;

/** Loads the table and fills the page. Without a name: what was chosen before, else what the browser prefers. */
export async function speak(name = remembered(CHOICE) ?? preferred()) {
  ({ default: t } = await import(`./words-${name}.js`));
  language = name;
  document.documentElement.lang = name === 'zh' ? 'zh-CN' : 'en';
  for (const element of document.querySelectorAll('[data-text]')) element.textContent = t[element.dataset.text];
  for (const element of document.querySelectorAll('[data-label]')) {
    element.ariaLabel = t[element.dataset.label];
    if (element.matches('button')) element.title = element.ariaLabel;
  }
  for (const listener of listeners) listener();
}

/** Speaks the language and remembers that it was chosen. */
export function choose(name) {
  remember(CHOICE, name);
  return speak(name);
}

export function onLanguage(listener) {
  listeners.push(listener);
}

/** What was remembered here; null where nothing was, or where pages may keep nothing. */
export function remembered(key) {
  try {
    return localStorage.getItem(key);
  } catch {
    return null;
  }
}

export function remember(key, value) {
  try {
    localStorage.setItem(key, value);
  } catch {
    // A private window forgets it.
  }
}

/** The sentence for an error's code: its own, that of its family, else what the gateway said. */
export function sentenceOf({ code, message }) {
  const own = t.errors[code];
  // The gateway's sentence says more than a table can, but only in English.
  if (code === 'invalid_input' && language === 'en') return message;
  return own ?? t.errors[code.split('_')[0]] ?? message;
}

/** 83.4 -> 1:23 */
export function clock(seconds) {
  const whole = Math.max(0, Math.floor(seconds));
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
}

const amount = (value, unit, digits = 0) =>
  new Intl.NumberFormat(language, { style: 'unit', unit, unitDisplay: 'short', maximumFractionDigits: digits }).format(value);

/** A span of time in words: seconds up to two minutes, then minutes, then hours. */
export function span(seconds) {
  if (seconds < 120) return amount(seconds, 'second');
  return seconds < 7200 ? amount(seconds / 60, 'minute') : amount(seconds / 3600, 'hour', seconds < 36_000 ? 1 : 0);
}

export function size(bytes) {
  return bytes < 1e6 ? `${Math.round(bytes / 1e3)} kB` : `${(bytes / 1e6).toFixed(1)} MB`;
}

function preferred() {
  return navigator.languages.find((one) => /^(zh|en)\b/.test(one))?.startsWith('zh') ? 'zh' : 'en';
}
