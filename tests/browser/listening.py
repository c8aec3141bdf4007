"""What the tests of the browser SDK run in their page: songs that are played to their end, and ears for every sample.

Invariant: every wait has its end; what was heard is compared with what the browser itself decodes of the same bytes.
It must not know the player page: the SDK is used as a stranger would use it.
"""

# The address of a file: a page without a policy and without a player. Chromium misses an icon there.
NOWHERE = "/errors.js"
ICON = "Failed to load resource: the server responded with a status of 404"

# `gateFor(options)`: a client of the demo gateway. `heard(song)`: facts, once it has ended, failed or taken too long.
# `ears(audio)`: routes the element through a capture at the song's own rate. `exact(samples, song)`: of the samples
# that were captured, silence taken out, how many are those of the song, one after another.
SCRIPT = """
window.gateFor = async (options = {}) => {
  const { Wavegate } = await import('/wavegate.js');
  return new Wavegate({ key: 'demo', ...options });
};

window.until = (what, test, seconds = 40) => new Promise((resolve, reject) => {
  const began = performance.now();
  const timer = setInterval(() => {
    const over = performance.now() - began > seconds * 1000;
    if (!test() && !over) return;
    clearInterval(timer);
    if (test()) resolve();
    else reject(new Error(`waited in vain for ${what}`));
  }, 20);
});

window.heard = async (song, seconds = 40) => {
  const states = [];
  song.on('state', (state) => states.push(state));
  await until(`the end: ${song.id}`, () => ['ended', 'failed'].includes(song.state), seconds)
    .catch(() => states.push('late'));
  if (song.completed) await until('the hash', () => song.verified !== null, 1).catch(() => {});
  const { currentTime: time, duration, verified, error } = song;
  return { states, time, duration, verified, error: error && { ...error, message: error.message }, ...song.stats };
};

const CAPTURE = `registerProcessor('capture', class extends AudioWorkletProcessor {
  process([input], [output]) {
    if (input.length) this.port.postMessage(input[0].slice());
    input.forEach((channel, i) => output[i]?.set(channel));
    return true;
  }
});`;

window.tap = async (context) => {
  await context.audioWorklet.addModule(URL.createObjectURL(new Blob([CAPTURE], { type: 'text/javascript' })));
  const node = new AudioWorkletNode(context, 'capture');
  const samples = [];
  node.port.onmessage = ({ data }) => samples.push(data);
  return { node, samples };
};

window.ears = async (audio) => {
  const context = new AudioContext({ sampleRate: 48000 });
  const { node, samples } = await tap(context);
  context.createMediaElementSource(audio).connect(node).connect(context.destination);
  return samples;
};

// Without the silence of a stall, which may begin within a block; no song of ours has as much of its own.
const sounding = (samples) => {
  const kept = [];
  for (let i = 0, zeros = 0; i < samples.length; i++) {
    zeros = samples[i] === 0 ? zeros + 1 : 0;
    kept.push(samples[i]);
    if (zeros >= 16) kept.length -= zeros === 16 ? 16 : 1;
  }
  return kept;
};

window.exact = async (samples, song) => {
  const captured = sounding(samples.flatMap((part) => [...part]));
  let bytes = await song.blob().arrayBuffer();
  if (song.format.codec === 'pcm') bytes = wav(bytes, song.format);
  const sound = await new OfflineAudioContext(1, 48000, 48000).decodeAudioData(bytes);
  const decoded = sounding(sound.getChannelData(0));
  const begin = captured.findIndex((sample) => sample !== 0);
  let best = 0;
  for (let offset = 0; offset < decoded.length; offset++) {
    if (decoded[offset] !== captured[begin] || decoded[offset + 7] !== captured[begin + 7]) continue;
    let count = 0;
    while (offset + count < decoded.length && decoded[offset + count] === captured[begin + count]) count++;
    best = Math.max(best, count);
  }
  return { same: best, captured: captured.length - begin, decoded: decoded.length };
};

const wav = (bytes, { sample_rate: rate, channels }) => {
  const head = new DataView(new ArrayBuffer(44));
  [...'RIFF    WAVEfmt '].forEach((letter, i) => head.setUint8(i, letter.charCodeAt(0)));
  [...'data'].forEach((letter, i) => head.setUint8(36 + i, letter.charCodeAt(0)));
  head.setUint32(4, 36 + bytes.byteLength, true);
  head.setUint32(16, 16, true);
  head.setUint16(20, 1, true);
  head.setUint16(22, channels, true);
  head.setUint32(24, rate, true);
  head.setUint32(28, rate * channels * 2, true);
  head.setUint16(32, channels * 2, true);
  head.setUint16(34, 16, true);
  head.setUint32(40, bytes.byteLength, true);
  const whole = new Uint8Array(44 + bytes.byteLength);
  whole.set(new Uint8Array(head.buffer));
  whole.set(new Uint8Array(bytes), 44);
  return whole.buffer;
};
"""
