"""Fading out in the provider's own coding: frames of an MP3 or a WAV made quieter without being decoded.

An MP3 frame says for each granule and channel how loud it is (`global_gain`, in steps of 1.5 dB: ISO/IEC 11172-3,
2.4.2.7), so writing a smaller number there is a fade; the rest of the frame, and what later frames borrow of it, stays.
Invariant: a frame keeps its length and its time; a gain of 1 changes nothing, and one of 0 is silence.
It must not know what a fade is for.
"""

import math
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from transcode.formats import CodecFrame
from transcode.mp3header import HEADER_BYTES, parse_header
from transcode.sideinfo import GAIN_AT, GAIN_BITS, parts, start_of

# From this attenuation on it is silence.
_SILENCE = 2.0**-15
_CRC_POLYNOMIAL = 0x8005
_CRC_BYTES = 2
_TYPES = {"pcm_s16le": "<i2", "pcm_s32le": "<i4", "pcm_f32le": "<f4"}
_U8_ZERO = 128


def faded(frame: CodecFrame, codec: str, channels: int, begin: float, end: float) -> CodecFrame:
    """The frame with its gain going from `begin` to `end` (1 is as it is, 0 silence); `codec` is a framer's."""
    if not frame.samples:
        return frame
    fade = _mp3 if codec == "mp3" else _pcm
    return replace(frame, data=fade(frame.data, codec, channels, begin, end))


def _pcm(data: bytes, codec: str, channels: int, begin: float, end: float) -> bytes:
    if codec == "pcm_u8":
        samples = np.frombuffer(data, np.uint8).astype(np.int16) - _U8_ZERO
        return (_ramped(samples, channels, begin, end) + _U8_ZERO).astype(np.uint8).tobytes()
    if codec == "pcm_s24le":
        wide = np.zeros((len(data) // 3, 4), np.uint8)
        wide[:, 1:] = np.frombuffer(data, np.uint8).reshape(-1, 3)
        quiet = _ramped(wide.view("<i4")[:, 0] >> 8, channels, begin, end).astype("<i4")
        return quiet.view(np.uint8).reshape(-1, 4)[:, :3].tobytes()
    samples = np.frombuffer(data, _TYPES[codec])
    if codec == "pcm_f32le":
        return (samples * _ramp(samples.size, channels, begin, end)).astype("<f4").tobytes()
    return _ramped(samples, channels, begin, end).astype(_TYPES[codec]).tobytes()


def _ramp(size: int, channels: int, begin: float, end: float) -> NDArray[np.float64]:
    blocks = size // channels
    line: NDArray[np.float64] = begin + (end - begin) * (np.arange(blocks) + 1) / blocks
    return np.repeat(line, channels)


def _ramped(samples: NDArray[Any], channels: int, begin: float, end: float) -> NDArray[np.float64]:
    quiet: NDArray[np.float64] = np.rint(samples * _ramp(samples.size, channels, begin, end))
    return quiet


def _mp3(data: bytes, codec: str, channels: int, begin: float, end: float) -> bytes:
    del codec, channels
    header = parse_header(data)
    if header is None:
        return data
    kind = header.kind
    start = start_of(data)
    side = int.from_bytes(data[start : start + kind.side_info], "big")
    bits = 8 * kind.side_info
    places = parts(kind)
    granules = len(places) // kind.channels
    for index, place in enumerate(places):
        middle = (index // kind.channels + 0.5) / granules
        shift = bits - place - GAIN_AT - GAIN_BITS
        gain = side >> shift & 0xFF
        side += (_lowered(gain, begin + (end - begin) * middle) - gain) << shift
    quiet = side.to_bytes(kind.side_info, "big")
    head = data[:HEADER_BYTES]
    if start > HEADER_BYTES:
        head += _crc(data[2:HEADER_BYTES] + quiet).to_bytes(_CRC_BYTES, "big")
    return head + quiet + data[start + kind.side_info :]


def _lowered(gain: int, factor: float) -> int:
    """A step of `global_gain` is a fourth root of 2."""
    return max(0, gain + round(4 * math.log2(min(factor, 1.0)))) if factor > _SILENCE else 0


def _crc(data: bytes) -> int:
    """ISO/IEC 11172-3, 2.4.3.1: over the last half of the header and the side information."""
    crc = 0xFFFF
    for octet in data:
        crc ^= octet << 8
        for _ in range(8):
            crc = (crc << 1 ^ (_CRC_POLYNOMIAL if crc & 0x8000 else 0)) & 0xFFFF
    return crc
