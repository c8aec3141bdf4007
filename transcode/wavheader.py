"""The header of a WAV file (RIFF or RF64): read while it arrives, where the samples begin and how they are coded; and
written, for 16-bit PCM.

Invariant: only codings that a decoder was shown to survive are let through, with channels, rate and block size checked
against each other; everything else is `UnknownFormat` with a sentence that says what it was. Every byte before the
samples is kept. It must not know what happens to the samples.
"""

import struct
from dataclasses import dataclass

from transcode.errors import EncodeError, UnknownFormat

MAX_HEADER = 64 << 10
RATES = range(8000, 192001)

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_CODECS = {
    (_PCM, 8): "pcm_u8",
    (_PCM, 16): "pcm_s16le",
    (_PCM, 24): "pcm_s24le",
    (_PCM, 32): "pcm_s32le",
    (_FLOAT, 32): "pcm_f32le",
}
# An extensible header names its coding by a GUID: the old number, then these octets.
_GUID_TAIL = bytes.fromhex("000000001000800000aa00389b71")
# The length stands in RF64's ds64 chunk, or nowhere.
PLACEHOLDER = 0xFFFFFFFF
# What we write for a length that is not known yet, as SoX does into a pipe. Players read as far as there is something,
# and FFmpeg does not warn, as it does of the placeholder. It is whole samples.
ENDLESS = 0x7FFFF000
_HEADER_BYTES = 36  # what the RIFF size counts beside the samples


@dataclass(frozen=True, slots=True)
class Coding:
    """How samples are laid out. `codec` is FFmpeg's name; `block` is the bytes of one sample of all channels."""

    codec: str
    sample_rate: int
    channels: int
    block: int


class WavHeader:
    """Takes the first bytes of a WAV until `coding` is known; then `init` is the header and `payload` what came after.

    `declared` is the length of the samples in bytes as the header has it, 0 when it says that it does not know; absurd
    values are common.
    """

    def __init__(self) -> None:
        self.coding: Coding | None = None
        self.init = b""
        self.payload = b""
        self.declared = 0
        self._head = bytearray()
        self._at = 0  # where the next chunk begins
        self._needed = 12  # bytes of the head without which there is nothing to do
        self._form: Coding | None = None
        self._long = 0  # the length in an RF64's ds64 chunk

    def feed(self, data: bytes) -> None:
        """Take a slice of any size. Raises `UnknownFormat` as soon as it is certain."""
        self._head += data
        while self.coding is None and len(self._head) >= self._needed:
            if self._at:
                self._chunk()
            else:
                self._riff()

    def _riff(self) -> None:
        if bytes(self._head[:4]) not in (b"RIFF", b"RF64") or self._head[8:12] != b"WAVE":
            raise UnknownFormat("not a WAV file")
        self._at, self._needed = 12, 20

    def _chunk(self) -> None:
        name, size = struct.unpack_from("<4sI", self._head, self._at)
        body = self._at + 8
        if name == b"data":
            self._samples(body, size)
            return
        end = body + size + (size & 1)  # chunks are padded to an even length
        if end + 8 > MAX_HEADER:
            raise UnknownFormat(f"the samples of this WAV do not begin in its first {MAX_HEADER >> 10} KiB")
        if len(self._head) < end:
            self._needed = end
            return
        if name == b"fmt ":
            self._form = _coding(bytes(self._head[body : body + size]))
        elif name == b"ds64" and size >= 16:
            (self._long,) = struct.unpack_from("<Q", self._head, body + 8)
        self._at, self._needed = end, end + 8

    def _samples(self, body: int, size: int) -> None:
        if self._form is None:
            raise UnknownFormat("this WAV does not say how its samples are coded")
        self.declared = self._long if size == PLACEHOLDER else size
        self.init = bytes(self._head[:body])
        self.payload = bytes(self._head[body:])
        self._head.clear()
        self.coding = self._form


def _coding(form: bytes) -> Coding:
    """What a `fmt ` chunk says, if it is PCM that can be read."""
    if len(form) < 16:
        raise UnknownFormat("the format chunk of this WAV is cut short")
    number, channels, rate, _, block, bits = struct.unpack_from("<HHIIHH", form)
    if number == _EXTENSIBLE and form[26:40] == _GUID_TAIL:
        (number,) = struct.unpack_from("<H", form, 24)
    codec = _CODECS.get((number, bits))
    if codec is None:
        raise UnknownFormat(f"a WAV of coding {number:#06x} with {bits} bits, not PCM of 8 to 32 bits or 32-bit float")
    if channels not in (1, 2) or rate not in RATES:
        raise UnknownFormat(f"a WAV of {channels} channels at {rate} Hz, not 1 or 2 at 8 to 192 kHz")
    if block != channels * bits // 8:
        raise UnknownFormat(f"a WAV of {channels} channels of {bits} bits in blocks of {block} bytes")
    return Coding(codec, rate, channels, block)


def wav_header(sample_rate: int, channels: int, data_bytes: int | None = None) -> bytes:
    """The 44 bytes before the samples of a 16-bit PCM WAV file; `data_bytes` None is the placeholder for both lengths.

    Raises `EncodeError` for values that a WAV header cannot hold.
    """
    data, riff = (PLACEHOLDER, PLACEHOLDER) if data_bytes is None else (data_bytes, data_bytes + _HEADER_BYTES)
    block = 2 * channels
    try:
        form = struct.pack("<HHIIHH", 1, channels, sample_rate, sample_rate * block, block, 16)
        return struct.pack("<4sI4s4sI16s4sI", b"RIFF", riff, b"WAVE", b"fmt ", 16, form, b"data", data)
    except struct.error as error:
        raise EncodeError(f"no WAV holds {channels} channels at {sample_rate} Hz, {data_bytes} bytes") from error
