"""The door to the packagers: which one makes a format of a codec's packets, and how much of the song a chunk is.

Invariant: a packager is pure Python, fit for an event loop: no codec library, about a microsecond a packet in chunks of
ten, at most 5 one by one. Its `init` and any suffix of its chunks are a stream that a decoder plays.
It must not know what makes packets, nor who hears them.
"""

from collections.abc import Sequence
from typing import Protocol

from transcode.errors import EncodeError
from transcode.formats import Format
from transcode.packager.adts import AdtsPackager
from transcode.packager.mp4 import Mp4Packager
from transcode.packager.ogg import OggPackager
from transcode.packager.plain import PlainPackager, flac_init, wav_init
from transcode.packager.webm import WebmPackager
from transcode.packet import CodecConfig, Packet


class Packager(Protocol):
    """Makes the bytes of one container out of the packets of one encode, in order.

    `init` is what every listener needs first, b"" where a format needs none.
    """

    @property
    def init(self) -> bytes:
        """The bytes before the first chunk that a listener gets, whichever that is."""

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        """The bytes of one chunk: any number of packets, the first a random-access point, as with us they all are.

        Packets that are empty are dropped, and, in containers that know padding, those that are nothing else. So a
        chunk may be b"". `last` marks the end where the format has a mark.
        """


def packager(form: Format, config: CodecConfig) -> Packager:
    """The packager of a format. Raises EncodeError if the encode is of another codec or cannot be told in it."""
    if form.codec != config.spec.codec:
        raise EncodeError(f"{form.name} holds {form.codec}, not {config.spec.codec}")
    match form.name:
        case "ogg":
            return OggPackager(config)
        case "webm":
            return WebmPackager(config)
        case "mp4":
            return Mp4Packager(config)
        case "aac":
            return AdtsPackager(config)
        case "wav":
            return PlainPackager(wav_init(config))
        case "flac":
            return PlainPackager(flac_init(config))
        case _:
            return PlainPackager()


def audible(packets: Sequence[Packet]) -> tuple[int, int]:
    """Where the sound of at least one packet begins, and how long it lasts, in samples of the song.

    Delay and padding are taken off: the durations of all chunks of an encode add up to the length of its song, and each
    that sounds begins where the one before it ended. A chunk of nothing but delay or padding lasts 0.
    """
    ends = (packet.pts + packet.duration - packet.padding for packet in packets)
    length = sum(max(end - max(packet.pts, 0), 0) for packet, end in zip(packets, ends, strict=True))
    return max(packets[0].pts, 0), length
