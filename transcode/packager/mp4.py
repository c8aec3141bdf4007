"""AAC in fragmented MP4, as MSE and CMAF want it: `ftyp` and `moov` once, `moof` and `mdat` for every chunk.

Invariant: a fragment needs nothing but the init before it. Times are in samples and count the delay, which the edit
list takes off. Padding shortens the last sample's duration, so that durations add up to the song; a decoder plays it.
It must not know codecs: an AudioSpecificConfig and packets are opaque here, but for a frame's 1024 samples.
"""

import struct
from collections.abc import Sequence

from transcode.packet import CodecConfig, Packet

_FRAME = 1024  # samples of AAC-LC
_ALONE = 0x02000000  # sample flags: depends on no other
_OWN_BASE = 0x020000  # tfhd: offsets count from this moof
_OFFSET, _DURATIONS, _SIZES = 0x1, 0x100, 0x200  # trun: what it has
_TRACK = 1
_MATRIX = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)  # shown as it is
_UNDETERMINED = 0x55C4  # the language "und"
_ELEMENTARY, _DECODER, _SPECIFIC, _SYNC = 3, 4, 5, 6  # descriptors of MPEG-4 systems
_AAC, _AUDIO = 0x40, 0x15  # the object type, and the stream type with its reserved bit

_BEFORE_SIZES = 88  # bytes of a moof in front of the durations and sizes: what its trun's offset can be told from
_FRAGMENT = struct.Struct(">I4s I4sII I4s I4sII I4sIQ I4sIII")


class Mp4Packager:
    """Fragments of AAC: `init` is ftyp and moov, a chunk is one moof and its mdat."""

    def __init__(self, config: CodecConfig) -> None:
        self._delay = config.delay
        self._sequence = 0
        self.init = _ftyp() + _moov(config)

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        """The fragment of a chunk. `last` changes nothing: MP4 has no mark for its end."""
        packets = [packet for packet in packets if packet.data and packet.padding < packet.duration]
        if not packets:
            return b""
        self._sequence += 1
        durations = [packet.duration - packet.padding for packet in packets]
        sizes = [len(packet.data) for packet in packets]
        flags, table = _OFFSET | _SIZES, sizes
        if any(duration != _FRAME for duration in durations):
            flags |= _DURATIONS
            table = [number for pair in zip(durations, sizes, strict=True) for number in pair]
        moof = _BEFORE_SIZES + 4 * len(table)
        # One pack for all boxes of the moof: a fragment of ten frames takes 4 microseconds instead of 9.
        head = _FRAGMENT.pack(
            *(moof, b"moof"),
            *(16, b"mfhd", 0, self._sequence),
            *(moof - 24, b"traf"),
            *(16, b"tfhd", _OWN_BASE, _TRACK),
            *(20, b"tfdt", 1 << 24, packets[0].pts + self._delay),
            *(moof - 68, b"trun", flags, len(packets), moof + 8),
        )
        data = struct.pack(f">{len(table)}II4s", *table, 8 + sum(sizes), b"mdat")
        return b"".join((head, data, *[packet.data for packet in packets]))


def _ftyp() -> bytes:
    # cmfc and caac: a CMAF track with AAC in it.
    return _box(b"ftyp", b"iso6", _numbers(0), b"iso6", b"mp41", b"cmfc", b"caac")


def _moov(config: CodecConfig) -> bytes:
    rate = config.spec.sample_rate
    # No times of making: the bytes are the same today and tomorrow. Durations of 0 are those of a fragmented file.
    movie = _full(b"mvhd", 0, _numbers(0, 0, rate, 0, 0x10000), b"\1\0", bytes(10), _MATRIX, bytes(24), _numbers(2))
    extends = _full(b"trex", 0, _numbers(_TRACK, 1, _FRAME, 0, _ALONE))
    return _box(b"moov", movie, _trak(config), _box(b"mvex", extends))


def _trak(config: CodecConfig) -> bytes:
    rate = config.spec.sample_rate
    header = _full(b"tkhd", 3, _numbers(0, 0, _TRACK, 0, 0, 0, 0), bytes(4), b"\1\0\0\0", _MATRIX, bytes(8))
    # One edit, of unknown length: the presentation begins `delay` samples into the media.
    edits = _box(b"edts", _full(b"elst", 0, _numbers(1, 0, config.delay, 0x10000)))
    media = _full(b"mdhd", 0, _numbers(0, 0, rate, 0), struct.pack(">HH", _UNDETERMINED, 0))
    handler = _full(b"hdlr", 0, _numbers(0), b"soun", bytes(12), b"Wavegate\0")
    here = _box(b"dinf", _full(b"dref", 0, _numbers(1), _full(b"url ", 1)))
    tables = [_full(name, 0, _numbers(0)) for name in (b"stts", b"stsc", b"stco")]
    samples = _box(b"stbl", _description(config), *tables, _full(b"stsz", 0, _numbers(0, 0)))
    information = _box(b"minf", _full(b"smhd", 0, bytes(4)), here, samples)
    return _box(b"trak", header, edits, _box(b"mdia", media, handler, information))


def _description(config: CodecConfig) -> bytes:
    spec = config.spec
    bitrate = spec.bitrate or 0
    decoder = struct.pack(">BB3xII", _AAC, _AUDIO, bitrate, bitrate) + _descriptor(_SPECIFIC, config.extradata)
    stream = struct.pack(">HB", 0, 0) + _descriptor(_DECODER, decoder) + _descriptor(_SYNC, b"\2")
    entry = struct.pack(">6xH8xHHIHH", 1, spec.channels, 16, 0, spec.sample_rate, 0)
    return _full(b"stsd", 0, _numbers(1), _box(b"mp4a", entry, _full(b"esds", 0, _descriptor(_ELEMENTARY, stream))))


def _numbers(*numbers: int) -> bytes:
    return struct.pack(f">{len(numbers)}I", *numbers)


def _box(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return _numbers(8 + len(body)) + name + body


def _full(name: bytes, flags: int, *parts: bytes) -> bytes:
    """A box with a version, here 0, and flags."""
    return _box(name, _numbers(flags), *parts)


def _descriptor(tag: int, body: bytes) -> bytes:
    return bytes((tag, len(body))) + body  # all of ours are far below the 128 bytes that one octet can tell
