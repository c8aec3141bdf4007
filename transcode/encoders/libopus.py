"""libopus' encoder without FFmpeg around it, which takes a tenth of a packet's time for itself.

Invariant: packets are those that FFmpeg makes with the same library and settings, byte for byte; they depend on the
samples, not on how they were cut. The library is the one that PyAV brings along, else the system's.
It must not know time in the song, nor containers.
"""

import ctypes
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from struct import Struct

import av
import numpy as np

from transcode.errors import EncodeError
from transcode.samples import Block, as_float

# From opus_defines.h.
_AUDIO = 2049
_BITRATE, _VBR, _COMPLEXITY, _CONSTRAINED, _LOOKAHEAD = 4002, 4006, 4010, 4020, 4027
_FULL = 10  # complexity: half of it takes two thirds of the time, and what is saved is heard at low bitrates
_MOST = 1276  # bytes of a packet of one frame
_STEP = 1 << 18  # samples that are interleaved at once

_HEAD = Struct("<8sBBHIhB")  # RFC 7845, section 5.1
_CLOCK = 48000  # at which a head counts
_INSTALLED = ("libopus.so.0", "libopus.0.dylib", "libopus-0.dll", "opus.dll")


class LibOpus:
    """Encodes at `sample_rate` Hz, one that Opus has, in 1 or 2 channels at about `bitrate` bit/s, in packets of 20 ms.

    Raises `EncodeError` for what the library refuses, and where there is none.
    """

    def __init__(self, sample_rate: int, channels: int, bitrate: int | None) -> None:
        self._library = _library()
        self._encode = self._library.opus_encode_float
        # Ours, so that nobody needs to be told when it is over.
        self._state = ctypes.create_string_buffer(self._library.opus_encoder_get_size(channels))
        done = self._library.opus_encoder_init(self._state, sample_rate, channels, _AUDIO)
        for setting, value in ((_BITRATE, bitrate), (_VBR, 1), (_CONSTRAINED, 0), (_COMPLEXITY, _FULL)):
            if not done and value is not None:
                done = self._library.opus_encoder_ctl(self._state, setting, ctypes.c_int(value))
        if done:
            raise EncodeError(f"no Opus at {sample_rate} Hz, {channels} channels, {bitrate} bit/s: {self._said(done)}")
        lookahead = ctypes.c_int()
        self._library.opus_encoder_ctl(self._state, _LOOKAHEAD, ctypes.byref(lookahead))
        self.lookahead = lookahead.value  # samples at its rate that come before the sound
        skipped = lookahead.value * _CLOCK // sample_rate
        self.extradata = _HEAD.pack(b"OpusHead", 1, channels, skipped, sample_rate, 0, 0)
        self._frame = sample_rate // 50
        self._packet = ctypes.create_string_buffer(_MOST)
        self._made = memoryview(self._packet).cast("B")
        # Numbers are passed twice as fast as what they are the addresses of.
        self._addresses = ctypes.addressof(self._state), ctypes.addressof(self._packet)
        self._rest = np.empty((0, channels), dtype=np.float32)  # interleaved, less than a frame

    def encode(self, block: Block) -> list[bytes]:
        """The packets that this block completes."""
        return [unit for at in range(0, block.shape[1], _STEP) for unit in self._units(block[:, at : at + _STEP])]

    def _units(self, block: Block) -> list[bytes]:
        held, (channels, size) = len(self._rest), block.shape
        samples = np.empty((held + size, channels), dtype=np.float32)
        samples[:held] = self._rest
        fresh = samples[held:]
        for channel, row in enumerate(as_float(block)):
            fresh[:, channel] = row
        whole = len(samples) - len(samples) % self._frame
        self._rest = samples[whole:].copy()
        begin, stride = samples.ctypes.data, samples.strides[0]
        return [self._packed(begin + at * stride) for at in range(0, whole, self._frame)]

    def _packed(self, samples: int) -> bytes:
        state, packet = self._addresses
        size = self._encode(state, samples, self._frame, packet, _MOST)
        if size < 0:
            raise EncodeError(f"libopus has failed: {self._said(size)}")
        return bytes(self._made[:size])

    def _said(self, code: int) -> str:
        words: bytes = self._library.opus_strerror(code)
        return words.decode(errors="replace")


@cache
def _library() -> ctypes.CDLL:
    """Raises `EncodeError` where there is none."""
    for place in _places():
        try:
            library = ctypes.CDLL(place)
            _declare(library)
        except (OSError, AttributeError):  # not there; or it is another library
            continue
        return library
    raise EncodeError("no libopus was found, neither PyAV's nor an installed one (apt-get install libopus0)")


def _places() -> Iterator[str]:
    """Where it may be, in order."""
    package = Path(av.__file__).parent
    for folder in (package.parent / "av.libs", package / ".dylibs"):  # wheels on Linux and Windows, and on macOS
        yield from sorted(map(str, folder.glob("*opus*")))
    yield from _INSTALLED


def _declare(library: ctypes.CDLL) -> None:
    """Raises AttributeError for a library that is not libopus."""
    state, address, number = ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int
    library.opus_encoder_get_size.argtypes = [number]
    library.opus_encoder_init.argtypes = [state, number, number, number]
    # The rest of its arguments are a matter of the request, and say their type themselves.
    library.opus_encoder_ctl.argtypes = [state, number]
    library.opus_encode_float.argtypes = [state, address, number, address, number]
    library.opus_strerror.argtypes = [number]
    library.opus_strerror.restype = ctypes.c_char_p
