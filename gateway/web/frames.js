/* The binary frame of Wavegate: 24 bytes of header in network byte order, then whole codec frames.
 *
 * Invariant: reading copies nothing; `payload` is a view into the buffer it was given.
 * It knows bytes only: no socket, no song, no sound.
 */

export const HEADER_BYTES = 24;
export const AUDIO = 1;
export const INIT = 2;

const VERSION = 1;

/** Reads one frame. `pts` and `duration` are samples at the announced rate, `seq` counts frames of an epoch from 0. */
export function readFrame(buffer) {
  if (buffer.byteLength < HEADER_BYTES) throw new RangeError(`a frame has at least ${HEADER_BYTES} bytes`);
  const view = new DataView(buffer);
  const version = view.getUint8(0);
  if (version !== VERSION) throw new RangeError(`frame version ${version} is unknown`);
  const flags = view.getUint16(2);
  return {
    version,
    kind: view.getUint8(1),
    flags,
    randomAccess: (flags & 1) !== 0,
    discontinuity: (flags & 2) !== 0,
    last: (flags & 4) !== 0,
    rendition: view.getUint32(4),
    pts: Number(view.getBigUint64(8)), // exact up to 2^53 samples, some six thousand years
    seq: view.getUint32(16),
    duration: view.getUint32(20),
    payload: new Uint8Array(buffer, HEADER_BYTES),
  };
}
