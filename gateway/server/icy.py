"""Titles inside the sound, as internet radio has them: a block of metadata behind every so many bytes of audio.

Invariant: a title stands at the block that is nearest to the sound at which it begins, whoever joins when and however
fast bytes are sent; every other block is one zero byte. Whatever a title says, it stays one StreamTitle.
Only formats whose frames carry their own marks have room for it: mp3 and aac; the bytes of a container would be broken.
It must not know how titles come to be.
"""

import re
from collections.abc import Callable, Sequence

from gateway.model import Chunk, Position, Principal
from gateway.protocol import frames
from gateway.relay.channel import Channel
from gateway.relay.titles import Titles
from gateway.server.progressive import AudioConnection, Build
from transcode.formats import AAC, MP3, StreamFormat

FORMATS = frozenset({MP3, AAC})
# Sound between two blocks: a title is off by half of it, 40 ms, and by no more than 100 where the bitrate halves.
BLOCK_SECONDS = 0.08
# Out of a decoder sound comes later than it stands in the stream: 28 ms in mp3, 50 in AAC, measured with FFmpeg's.
CODEC_SECONDS = 0.03
# Between 8 kbit/s and more than there is; a block for each chunk of a lossless song would be too few.
SHORTEST_BYTES, LONGEST_BYTES = 80, 8192
# Chunks that are looked at for the bitrate: about ten seconds.
RECENT = 50
# Where not even the first sound tells.
USUAL_BITRATE = 128_000
# One octet says how many times 16 there are.
LONGEST_TITLE = 255 * 16 - len("StreamTitle='';")

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")
# There is no way to escape: players read up to the first `';`, some to the first of either.
_MEANT = str.maketrans({"'": "\N{RIGHT SINGLE QUOTATION MARK}", ";": ","})


def plain(title: str) -> str:
    """A title as one line of text that can stand in a header or in quotes."""
    return " ".join(_CONTROL.sub(" ", title).translate(_MEANT).split())


def block(title: str) -> bytes:
    """The metadata block that names this title: its length in units of 16 bytes, and so many."""
    text = plain(title).encode(errors="replace")[:LONGEST_TITLE].decode(errors="ignore").encode()
    words = b"StreamTitle='%b';" % text
    units = -(-len(words) // 16)
    return bytes([units]) + words.ljust(units * 16, b"\0")


NOTHING_NEW = b"\0"


def interval_of(channel: Channel) -> int:
    """How many bytes of audio there are between two blocks; where the bitrate varies, the lowest so far counts."""
    details = channel.details
    rates = [details.bitrate / 8] if details is not None and details.bitrate else []
    rates += [len(one.payload) / channel.seconds(one.duration) for one in channel.retained[-RECENT:] if one.duration]
    return min(max(round(min(rates, default=USUAL_BITRATE / 8) * BLOCK_SECONDS), SHORTEST_BYTES), LONGEST_BYTES)


def headers(name: str, interval: int, details: StreamFormat | None) -> dict[str, str]:
    """What a radio says of itself: the distance of the blocks, and what it plays."""
    said = {"icy-metaint": str(interval), "icy-name": plain(name), "icy-pub": "0"}
    if details is not None:
        said["icy-sr"] = str(details.sample_rate)
        if details.bitrate:
            said["icy-br"] = str(round(details.bitrate / 1000))
    return said


class IcyConnection(AudioConnection):
    """The connection of a listener that reads titles. Its head waits for the first sound, which tells the bitrate."""

    __slots__ = ("_channel", "_left", "_rate", "_titles", "_told", "interval")

    def __init__(
        self,
        now: Callable[[], float],
        build: Build,
        on_gone: Callable[[str], None],
        principal: Principal,
        channel: Channel,
        titles: Titles,
    ) -> None:
        super().__init__(now, build, on_gone, principal)
        self.form = None
        self.interval = 0
        self._channel = channel
        self._titles = titles
        self._left = 0
        self._rate = 1
        self._told: str | None = None

    def started(self, at: Position, details: StreamFormat, number: int, init: Chunk | None) -> None:
        self.interval = self._left = interval_of(self._channel)
        self._rate = details.sample_rate
        super().started(at, details, number, init)

    def send(self, chunks: Sequence[Chunk]) -> None:
        pieces: list[bytes] = []
        for chunk in chunks:
            payload, done = chunk.payload, 0
            while len(payload) - done >= self._left:
                stop = done + self._left
                pieces += (payload[done:stop], self._block(chunk, stop))
                done, self._left = stop, self.interval
            pieces.append(payload[done:])
            self._left -= len(payload) - done
        if self._build is frames.chunked:
            pieces = [b"%x\r\n" % sum(map(len, pieces)), *pieces, b"\r\n"]
        self.sink.writelines(pieces)

    def _block(self, chunk: Chunk, at: int) -> bytes:
        """The block behind so many bytes of a chunk: what is called so up to the middle of the next bytes."""
        middle = (at + self.interval / 2) / len(chunk.payload)
        title = self._titles.at((chunk.pts + chunk.duration * middle) / self._rate - CODEC_SECONDS)
        if title == self._told:
            return NOTHING_NEW
        self._told = title
        return block(title)
