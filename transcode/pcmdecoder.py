"""The samples of a WAV, or of PCM without a header, as blocks.

Invariant: sample for sample what the song has; 16-bit samples stay 16-bit, every other coding becomes float32, which
holds 24 bits exactly. What is no number in a song of floats becomes silence, and what is absurdly loud is held down,
so that no encoder chokes on it.
It must not know framing or headers: frames come in whole sample blocks.
"""

from collections.abc import Callable, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from transcode.errors import UnknownFormat
from transcode.formats import CodecFrame
from transcode.samples import Block, Sound, from_s16le, limited


def _u8(pcm: bytes) -> NDArray[np.float32]:
    return (np.frombuffer(pcm, dtype=np.uint8).astype(np.float32) - np.float32(128)) / np.float32(1 << 7)


def _s24(pcm: bytes) -> NDArray[np.float32]:
    # Each sample's three octets become the upper ones of four, so that the sign is where it belongs.
    wide = np.zeros((len(pcm) // 3, 4), dtype=np.uint8)
    wide[:, 1:] = np.frombuffer(pcm, dtype=np.uint8).reshape(-1, 3)
    return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)


def _s32(pcm: bytes) -> NDArray[np.float32]:
    return np.frombuffer(pcm, dtype="<i4").astype(np.float32) / np.float32(1 << 31)


def _f32(pcm: bytes) -> NDArray[np.float32]:
    return limited(np.frombuffer(pcm, dtype="<f4").astype(np.float32))


_CODINGS: dict[str, Callable[[bytes], NDArray[np.float32]]] = {
    "pcm_u8": _u8,
    "pcm_s24le": _s24,
    "pcm_s32le": _s32,
    "pcm_f32le": _f32,
}


class PcmDecoder:
    """Decodes frames of `codec`, FFmpeg's name of a WAV coding, with 1 or 2 channels. See `Decoder`."""

    lead = 0
    errors = 0

    def __init__(self, codec: str, sample_rate: int, channels: int) -> None:
        if codec != "pcm_s16le" and codec not in _CODINGS:
            raise UnknownFormat(f"no decoder for {codec}")
        self.sample_rate, self.channels = sample_rate, channels
        self._floats = _CODINGS.get(codec)

    def decode(self, frames: Sequence[CodecFrame]) -> list[Sound]:
        """All samples of the frames, joined up to where sound is missing."""
        starts = [at for at, frame in enumerate(frames) if frame.discontinuity or not at]
        sounds = []
        for start, end in pairwise([*starts, len(frames)]):
            block = self._block(b"".join(frame.data for frame in frames[start:end]))
            sounds.append(Sound(block, frames[start].discontinuity))
        return sounds

    def flush(self) -> list[Sound]:
        """Nothing: every sample was given at once."""
        return []

    def _block(self, pcm: bytes) -> Block:
        if self._floats is None:
            return from_s16le(pcm, self.channels)
        return self._floats(pcm).reshape(-1, self.channels).T
