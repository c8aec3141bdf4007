"""Opus in WebM: a Segment that never ends, a Cluster for every chunk.

Invariant: a chunk is whole Clusters of known size, whose block times count the delay, as Matroska has it: CodecDelay
is taken off by the player. Padding is declared to the nanosecond, where it is.
It must not know codecs: an OpusHead and packets are opaque here.
"""

import struct
from collections.abc import Iterator, Sequence

from transcode.packet import CodecConfig, Packet

_TRACK = 0x81  # the number 1, as a block says it
_KEYFRAME = 0x80
_SECOND = 1_000_000_000  # ns
_PREROLL = 80_000_000  # ns that Opus needs to sound right after a jump: RFC 7845, 4.6
_CLOCK = 48000.0  # what Opus is decoded at; browsers take no other rate
_UNKNOWN = b"\x01\xff\xff\xff\xff\xff\xff\xff"  # as a size: until the end of the stream
_FARTHEST = 32_000  # ms from its Cluster's time that a block's 16 bits can tell

_EBML, _SEGMENT, _INFO, _TRACKS = b"\x1a\x45\xdf\xa3", b"\x18\x53\x80\x67", b"\x15\x49\xa9\x66", b"\x16\x54\xae\x6b"
_CLUSTER, _TIMESTAMP = b"\x1f\x43\xb6\x75", b"\xe7"
_SIMPLE, _GROUP, _BLOCK, _DISCARD = b"\xa3", b"\xa0", b"\xa1", b"\x75\xa2"


class WebmPackager:
    """Clusters of Opus: `init` is everything before the first, a chunk is one, or one for every 32 s."""

    def __init__(self, config: CodecConfig) -> None:
        self._delay = config.delay
        self._rate = config.spec.sample_rate
        self.init = _init(config)

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        """The Cluster of a chunk. `last` changes nothing: WebM has no mark for its end."""
        chunk: list[bytes] = []
        blocks: list[bytes] = []
        begin = 0  # ms
        for packet in packets:
            if not packet.data or packet.padding >= packet.duration:
                continue
            time = ((packet.pts + self._delay) * 2000 + self._rate) // (2 * self._rate)  # ms, to the nearest
            if not blocks or time - begin > _FARTHEST:
                chunk += _cluster(blocks)
                blocks, begin = [_element(_TIMESTAMP, _uint(time))], time
            blocks.append(self._block(packet, time - begin))
        chunk += _cluster(blocks)
        return b"".join(chunk)

    def _block(self, packet: Packet, offset: int) -> bytes:
        size = 4 + len(packet.data)
        if not packet.padding:
            return b"%b%b%c%b%c%b" % (_SIMPLE, _size(size), _TRACK, offset.to_bytes(2, "big"), _KEYFRAME, packet.data)
        block = b"%b%b%c%b%c%b" % (_BLOCK, _size(size), _TRACK, offset.to_bytes(2, "big"), 0, packet.data)
        discard = struct.pack(">q", round(packet.padding * _SECOND / self._rate))
        return _element(_GROUP, block, _element(_DISCARD, discard))


def _cluster(blocks: list[bytes]) -> Iterator[bytes]:
    """The Cluster of a timestamp and its blocks; nothing, for none."""
    if blocks:
        yield _element(_CLUSTER, *blocks)


def _init(config: CodecConfig) -> bytes:
    head = _element(
        _EBML,
        _element(b"\x42\x86", _uint(1)),  # EBMLVersion
        _element(b"\x42\xf7", _uint(1)),  # EBMLReadVersion
        _element(b"\x42\xf2", _uint(4)),  # EBMLMaxIDLength
        _element(b"\x42\xf3", _uint(8)),  # EBMLMaxSizeLength
        _element(b"\x42\x82", b"webm"),  # DocType
        _element(b"\x42\x87", _uint(4)),  # DocTypeVersion: CodecDelay and DiscardPadding came with 4
        _element(b"\x42\x85", _uint(2)),  # DocTypeReadVersion
    )
    info = _element(
        _INFO,
        _element(b"\x2a\xd7\xb1", _uint(1_000_000)),  # TimestampScale: block times are in ms
        _element(b"\x4d\x80", b"Wavegate"),  # MuxingApp
        _element(b"\x57\x41", b"Wavegate"),  # WritingApp
    )
    audio = _element(
        b"\xe1",  # Audio
        _element(b"\xb5", struct.pack(">d", _CLOCK)),  # SamplingFrequency
        _element(b"\x9f", _uint(config.spec.channels)),  # Channels
    )
    track = _element(
        b"\xae",  # TrackEntry
        _element(b"\xd7", _uint(1)),  # TrackNumber
        _element(b"\x73\xc5", _uint(1)),  # TrackUID
        _element(b"\x83", _uint(2)),  # TrackType: audio
        _element(b"\x9c", _uint(0)),  # FlagLacing
        _element(b"\x86", b"A_OPUS"),  # CodecID
        _element(b"\x63\xa2", config.extradata),  # CodecPrivate
        _element(b"\x56\xaa", _uint(round(config.delay * _SECOND / config.spec.sample_rate))),  # CodecDelay
        _element(b"\x56\xbb", _uint(_PREROLL)),  # SeekPreRoll
        audio,
    )
    return head + _SEGMENT + _UNKNOWN + info + _element(_TRACKS, track)


def _element(name: bytes, *parts: bytes) -> bytes:
    body = b"".join(parts)
    return name + _size(len(body)) + body


def _size(size: int) -> bytes:
    """A length, with its own length in front as the number of leading zero bits. All ones would mean unknown."""
    if size < 0x7F:
        return bytes((0x80 | size,))
    if size < 0x3FFF:
        return (0x4000 | size).to_bytes(2, "big")
    return (0x10000000 | size).to_bytes(4, "big")  # up to 256 MB


def _uint(number: int) -> bytes:
    return number.to_bytes(max(1, (number.bit_length() + 7) // 8), "big")
