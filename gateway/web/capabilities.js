/* What this browser can play, and by which way: asked of the browser, never guessed from its name.
 *
 * Invariant: the order is the measured one, and every choice comes with its reason. It plays nothing.
 */

const Source = globalThis.MediaSource ?? globalThis.ManagedMediaSource; // iPhones have the managed one alone
const HLS = 'application/vnd.apple.mpegurl';
const MIMES = {
  mp3: 'audio/mpeg',
  webm: 'audio/webm; codecs="opus"',
  mp4: 'audio/mp4; codecs="mp4a.40.2"',
  aac: 'audio/aac',
  ogg: 'audio/ogg; codecs="opus"',
  flac: 'audio/flac',
  wav: 'audio/wav',
  pcm: 'audio/L16',
};
const ORDER = ['mp3', 'webm', 'mp4'];
const REASONS = { mp3: 'as the provider makes it', webm: 'the fewest bytes', mp4: 'what nearly all take' };

export const mimeOf = (name) => MIMES[name];
export const nameOf = (mime) => Object.keys(MIMES).find((name) => MIMES[name] === mime);

/** Whether sound of this MIME type can be played while it arrives. */
export function appendable(mime) {
  return Boolean(Source?.isTypeSupported(mime));
}

export function supports() {
  const element = document.createElement('audio');
  const formats = Object.entries(MIMES).map(([codec, mime]) => {
    const mse = appendable(mime);
    const why = mse ? `MediaSource takes ${mime}` : `MediaSource does not take ${mime}`;
    return { codec, mime, mse, element: element.canPlayType(mime) !== '', why };
  });
  return {
    mse: formats.some(({ mse }) => mse),
    managed: !globalThis.MediaSource && Boolean(Source),
    worklet: Boolean(globalThis.isSecureContext && globalThis.AudioWorkletNode),
    hls: element.canPlayType(HLS) !== '',
    formats,
  };
}

/** What is asked of the gateway, and what plays it: {sink, formats, hls, why}. Wishes that cannot be met are let go. */
export function choose({ format = null, sink = null } = {}) {
  const can = supports();
  const wishes = format === null ? null : [format].flat();
  const name = (wish) => wish.codec ?? wish;
  const asPcm = wishes?.filter((wish) => name(wish) === 'pcm') ?? [];
  const lacks = sink === 'worklet' && !can.worklet ? 'no AudioWorklet here, it needs a secure context; ' : '';
  if (can.worklet && (sink === 'worklet' || (!sink && asPcm.length > 0 && asPcm.length === wishes.length))) {
    const formats = asPcm.length ? asPcm : ['pcm'];
    return { sink: 'worklet', formats, hls: false, why: 'pcm by AudioWorklet: as asked for' };
  }
  const thrifty = navigator.connection?.saveData ? ['webm', 'mp3', 'mp4'] : ORDER;
  const fit = (wishes ?? thrifty).filter((wish) => appendable(MIMES[name(wish)]));
  if (sink !== 'element' && fit.length) {
    const first = name(fit[0]);
    const reason = wishes ? 'as asked for' : REASONS[first];
    return { sink: 'mse', formats: fit, hls: false, why: `${lacks}${first} by MediaSource: ${reason}` };
  }
  const hls = !wishes && !can.mse && can.hls && sink !== 'worklet';
  const formats = wishes ?? ['mp3'];
  const cannot = sink === 'element' ? 'as asked for' : 'MediaSource takes none of these';
  const what = hls ? 'HLS' : name(formats[0]);
  return { sink: 'element', formats, hls, why: `${lacks}${what} by an audio element: ${cannot}` };
}
