/* Counts a text the way the gateway does: Chinese characters or English words, whichever there are more of.
 *
 * Invariant: marks such as [verse] count as nothing; the vectors that pin the gateway's counter pin this one.
 * It only advises: the gateway decides.
 */

/** The provider's limits, inclusive: [least, most, unit] by mode, kind and language. */
export const LIMITS = {
  stream: {
    prompt: { zh: [5, 1000, 'han'], en: [5, 1000, 'words'] },
    lyrics: { zh: [300, 350, 'han'], en: [200, 250, 'words'] },
  },
  file: {
    prompt: { zh: [1, 2000, 'characters'], en: [1, 2000, 'characters'] },
    lyrics: { zh: [5, 350, 'han'], en: [5, 2000, 'characters'] },
  },
};

const TAG = /\[[A-Za-z][A-Za-z0-9 _-]{0,30}\]/g;
const HAN = /\p{Script=Han}/gu;
const SPOKEN = /[\p{L}\p{N}]/u;

/** `{language: 'zh' | 'en', count}`. */
export function count(text) {
  const plain = text.replace(TAG, ' ');
  const han = plain.match(HAN)?.length ?? 0;
  const words = plain.split(/\s+/).filter((word) => SPOKEN.test(word));
  const foreign = words.filter((word) => SPOKEN.test(word.replace(HAN, ''))).length;
  return han > foreign ? { language: 'zh', count: han } : { language: 'en', count: words.length };
}

/** The text against its limits: `{found, least, most, unit, fit}`; fit is none, short, good or long. */
export function measure(text, mode, kind) {
  const { language, count: counted } = count(text);
  const [least, most, unit] = LIMITS[mode][kind][language];
  // In Python's len and here alike, a character is a code point.
  const found = unit === 'characters' ? [...text.replace(TAG, '').trim()].length : counted;
  return { found, least, most, unit, fit: fit(found, least, most) };
}

export function fit(found, least, most) {
  if (found === 0) return 'none';
  if (found < least) return 'short';
  return found > most ? 'long' : 'good';
}
