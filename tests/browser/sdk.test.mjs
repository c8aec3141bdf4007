/* The parts of the browser SDK that need no browser: frames, close codes, the track, samples. Run by node --test. */

import assert from 'node:assert/strict';
import test from 'node:test';

import { afterClose, backOff } from '../../gateway/web/connection.js';
import { Lead } from '../../gateway/web/lead.js';
import { planes } from '../../gateway/web/pcm.js';
import { Track, joined } from '../../gateway/web/track.js';
import { WavegateError, readFrame } from '../../gateway/web/wavegate.js';

const bytes = (...values) => new Uint8Array(values);

test('a frame is read as it was written, numbers beyond 32 bits too', () => {
  const view = new DataView(new ArrayBuffer(27));
  view.setUint8(0, 1);
  view.setUint8(1, 2);
  view.setUint16(2, 5);
  view.setUint32(4, 4_000_000_000);
  view.setBigUint64(8, 2n ** 40n + 7n);
  view.setUint32(16, 3_000_000_001);
  view.setUint32(20, 1152);
  view.setUint8(26, 255);
  const { payload, ...head } = readFrame(view.buffer);
  assert.deepEqual(head, {
    version: 1,
    kind: 2,
    flags: 5,
    randomAccess: true,
    discontinuity: false,
    last: true,
    rendition: 4_000_000_000,
    pts: 2 ** 40 + 7,
    seq: 3_000_000_001,
    duration: 1152,
  });
  assert.deepEqual([...payload], [0, 0, 255]);
});

test('what is no frame is refused', () => {
  for (const size of [0, 23]) assert.throws(() => readFrame(new ArrayBuffer(size)), RangeError);
  assert.throws(() => readFrame(bytes(2, ...new Array(23).fill(0)).buffer), RangeError);
});

test('every close code is obeyed', () => {
  for (const code of [1003, 1008, 1009, 4001, 4003, 4004, 4005, 4008, 4010]) {
    assert.deepEqual(afterClose(code, 'slug'), { retry: false, delay: null });
  }
  for (const code of [4200, 4201, 4203]) assert.deepEqual(afterClose(code, ''), { retry: true, delay: 0 });
  for (const code of [1001, 1012, 4100, 4101, 4103]) {
    assert.deepEqual(afterClose(code, 'slug;retry_after_ms=1200'), { retry: true, delay: 1200 });
  }
  for (const code of [1006, 1011, 1013, 4102, 4104]) assert.deepEqual(afterClose(code, 'slug'), { retry: true, delay: null });
});

test('backing off grows, is spread over its upper half, and has an end', () => {
  const ranges = [0, 1, 2, 3, 9].map((attempt) => [backOff(attempt, () => 0), backOff(attempt, () => 1)]);
  assert.deepEqual(ranges, [[250, 500], [500, 1000], [1000, 2000], [2000, 4000], [7500, 15000]]);
});

test('an error tells what the gateway told, and the close code', () => {
  const error = new WavegateError({ code: 'rate_exceeded', retryable: true, retry_after_ms: 5 }, 4101);
  const { code, message, retryable, retryAfterMs, param, closeCode } = error;
  assert.deepEqual({ code, message, retryable, retryAfterMs, param, closeCode }, {
    code: 'rate_exceeded',
    message: 'rate exceeded',
    retryable: true,
    retryAfterMs: 5,
    param: null,
    closeCode: 4101,
  });
  assert.ok(error instanceof Error);
});

function track(...seqs) {
  const one = new Track();
  one.format = { mime: 'audio/mpeg; x' };
  for (const seq of seqs) one.add({ payload: bytes(seq, seq), start: seq * 0.25, seconds: 0.25, seq });
  return one;
}

test('a track finds the frame that sounds at a second', () => {
  const one = track(4, 5, 6, 7);
  assert.deepEqual([0, 1, 1.24, 1.25, 1.6, 99].map((second) => one.at(second)), [0, 0, 0, 1, 2, 3]);
  assert.deepEqual([one.start, one.end, one.bytes], [1, 2, 8]);
  one.exact = false;
  assert.equal(one.at(1.6), 0);
});

test('a run of frames ends at a gap and where there is enough', () => {
  const one = track(0, 1, 2, 9, 10);
  assert.deepEqual(one.run(0, 1000), { payloads: [bytes(0, 0), bytes(1, 1), bytes(2, 2)], next: 3, end: 0.75 });
  assert.deepEqual(one.run(3, 1000), { payloads: [bytes(9, 9), bytes(10, 10)], next: 5, end: 2.75 });
  assert.equal(one.run(0, 3).next, 2);
  assert.deepEqual([one.follows(3, 0.75), one.follows(3, 2.25)], [false, true]);
});

test('only the whole is verified', async () => {
  const sha = (data) => crypto.subtle.digest('SHA-256', data).then((hash) => Buffer.from(hash).toString('hex'));
  const whole = track(0, 1);
  whole.init = bytes(7);
  const right = await sha(bytes(7, 0, 0, 1, 1));
  assert.deepEqual([await whole.verify(right), await whole.verify(await sha(bytes(0)))], [true, false]);
  assert.equal(await whole.verify(undefined), null);
  for (const lacking of [track(1, 2), track(0, 2)]) assert.equal(await lacking.verify(right), null);
  assert.equal(whole.blob().type, 'audio/mpeg');
  assert.equal(whole.blob().size, 5);
});

test('payloads are joined in order', () => {
  assert.deepEqual(joined([bytes(1), bytes(), bytes(2, 3)]), bytes(1, 2, 3));
});

test('interleaved samples become planes, from an odd address too', () => {
  const data = new DataView(new ArrayBuffer(9));
  [32767, -32768, 0, 16384].forEach((value, i) => data.setInt16(1 + 2 * i, value, true));
  const payload = new Uint8Array(data.buffer, 1);
  assert.deepEqual(planes(payload, 2), [new Float32Array([1, 0]), new Float32Array([-1, 16384 / 32767])]);
  assert.deepEqual(planes(payload, 1, 3), [new Float32Array([16384 / 32767])]);
  assert.deepEqual(planes(payload, 2, 9), [new Float32Array(0), new Float32Array(0)]);
});

test('a beginning waits for half a second, or for as long as the next piece may be late', () => {
  let now = 5000;
  const lead = new Lead({}, () => {}, () => now);
  const piece = (end, left = null) => lead.grew({ start: 0, end }, left);
  assert.equal(lead.enough(0.4), false); // nothing has come: there is no time to count from
  piece(0.2);
  assert.equal(lead.enough(0.2), false);
  assert.equal(lead.enough(0.5), true);
  now += 240;
  piece(0.4);
  now += 19;
  assert.equal(lead.enough(0.4), false);
  now += 2;
  assert.deepEqual([lead.enough(0.4), lead.enough(0.1)], [true, false]);
  lead.end();
});

// Seconds that are whole, and when that was, of slices of 0.2 s: what is missing are frames that are not whole yet.
const LINES = {
  mp3: { pieces: [[0, 0.168], [200, 0.36], [400, 0.552]], begins: 260 },
  webm: { pieces: [[0, 0.153], [200, 0.353], [400, 0.533]], begins: 267 },
  mp4: { pieces: [[0, 0.107], [200, 0.299], [400, 0.491]], begins: 313 },
};

test('a format of which more is missing begins as soon as it lasts, and no later', () => {
  for (const [name, { pieces, begins }] of Object.entries(LINES)) {
    let now = 0;
    const lead = new Lead({}, () => {}, () => now);
    const due = [...pieces];
    for (let stock = 0; !stock || !lead.enough(stock); now += 1) {
      if (due[0]?.[0] === now) {
        stock = due.shift()[1];
        lead.grew({ start: 0, end: stock }, null);
      }
      assert.ok(now <= begins, name);
    }
    assert.ok(now >= begins, name);
  }
});

test('whose pieces come later has a later beginning', () => {
  let now = 0;
  const lead = new Lead({}, () => {}, () => now);
  lead.grew({ start: 1, end: 1.2 }, null);
  now = 400; // due at 200, so it is late by four times the usual
  lead.grew({ start: 1, end: 1.4 }, null);
  now = 419;
  assert.equal(lead.enough(0.4), false);
  now = 421;
  assert.equal(lead.enough(0.4), true);
  lead.end();
});

test('what runs dry waits for more, and twice as much the next time, up to an end', () => {
  const lead = new Lead({}, () => {}, () => 9000);
  lead.grew({ start: 0, end: 0.4 }, null);
  assert.deepEqual([1, 2, 3, 4].map(() => lead.ranDry()), [0.5, 1, 2, 2]);
  assert.deepEqual([lead.enough(1.9), lead.enough(2)], [false, true]);
});

test('the pace is held back while little is left, and until enough was left for a while', () => {
  let now = 0;
  const lead = new Lead({}, () => {}, () => now);
  const slow = (left, at) => {
    now = at;
    lead.grew({ start: 0, end: at / 1000 }, left);
    return lead.slow;
  };
  assert.deepEqual([slow(null, 0), slow(0.1, 200), slow(0.07, 400), slow(0.3, 600), slow(0.2, 2000)], [false, false, true, true, true]);
  assert.deepEqual([slow(0.3, 3900), slow(0.3, 4100)], [true, false]);
  slow(0.01, 5000);
  lead.end();
  assert.equal(lead.slow, false);
});

test('who says how much to hold back is held back by that alone, at the pace of the song', () => {
  let now = 0;
  const lead = new Lead({ startBuffer: 1, maxBuffer: 1.5 }, () => {}, () => now);
  lead.grew({ start: 0, end: 0.2 }, null);
  now = 3000;
  lead.grew({ start: 0, end: 0.9 }, 0);
  assert.deepEqual([lead.enough(0.9), lead.enough(1), lead.slow, lead.ranDry()], [false, true, false, 1.5]);
});

// The ring runs beside the sound card, in a scope that has these two names.
const ringOf = async () => {
  let Ring;
  globalThis.AudioWorkletProcessor = class {
    port = { postMessage: (told) => (this.told = told) };
  };
  globalThis.registerProcessor = (_, processor) => (Ring = processor);
  await import(`../../gateway/web/worklet.js?${Math.random()}`);
  const ring = new Ring();
  const blocks = (count) =>
    Array.from({ length: count }).flatMap(() => {
      const block = new Float32Array(128);
      ring.process([], [[block]]);
      return [...block];
    });
  return { ring, blocks, say: (data) => ring.port.onmessage({ data }) };
};

test('the ring plays what it was sent, slower without a step, and then the very samples again', async () => {
  const { ring, blocks, say } = await ringOf();
  const sound = Float32Array.from({ length: 48000 }, (_, i) => Math.sin(i * 0.05));
  for (let i = 0; i < sound.length; i += 9600) say({ samples: [sound.slice(i, i + 9600)] });
  assert.deepEqual(blocks(50), [...sound.subarray(0, 6400)]);
  say({ pace: 0.985 });
  blocks(100).forEach((sample, i) => assert.ok(Math.abs(sample - Math.sin((6400 + i * 0.985) * 0.05)) < 1e-5));
  say({ pace: 1 });
  const back = blocks(100);
  for (let i = 1; i < back.length; i++) assert.ok(Math.abs(back[i] - back[i - 1]) < 0.051);
  const at = sound.indexOf(back[12700]);
  assert.ok(at > 30000);
  assert.deepEqual(back.slice(12700), [...sound.subarray(at, at + 100)]);
  say({ whole: true });
  blocks(130);
  assert.deepEqual([ring.told.played, ring.told.stored, ring.told.over], [48000, 0, true]);
});

test('a ring that is nearly dry plays the last samples too, and begins anew when it is cleared', async () => {
  const { ring, blocks, say } = await ringOf();
  say({ pace: 0.985 });
  say({ samples: [new Float32Array(200).fill(0.5)] });
  assert.equal(blocks(3).filter((sample) => sample !== 0).length, 202); // two more, for the first block was slower
  assert.deepEqual([ring.told.played, ring.told.dry], [200, true]);
  say({ clear: 3 });
  say({ samples: [new Float32Array(128).fill(0.25)] });
  blocks(2);
  assert.deepEqual([ring.told.epoch, ring.told.played], [3, 128]);
});
