/* Counts a text the way the gateway does: Chinese characters or English words, whichever there are more of.
 *
 * Invariant: marks such as [verse] count as nothing; the vectors that pin the gateway's counter pin this one.
 * It only advises: the gateway decides.
 */

/** Streaming limits, inclusive: [least, most] by kind and language. */
export const LIMITS = {
  prompt: { zh: [5, 1000], en: [5, 1000] },
  lyrics: { zh: [300, 350], en: [200, 250] },
};

const HAN = /\p{Script=Han}/gu;
const SPOKEN = /[\p{L}\p{N}]/u;

/** `{language: 'zh' | 'en', count}`. */
export function count(text) {
  const plain = text.replace(/\[[A-Za-z][A-Za-z0-9 _-]{0,30}\]/g, ' ');
  const han = plain.match(HAN)?.length ?? 0;
  const words = plain.split(/\s+/).filter((word) => SPOKEN.test(word));
  const foreign = words.filter((word) => SPOKEN.test(word.replace(HAN, ''))).length;
  return han > foreign ? { language: 'zh', count: han } : { language: 'en', count: words.length };
}

/** none, short, good or long. */
export function fit(kind, { language, count: found }) {
  const [least, most] = LIMITS[kind][language];
  if (found === 0) return 'none';
  if (found < least) return 'short';
  return found > most ? 'long' : 'good';
}
