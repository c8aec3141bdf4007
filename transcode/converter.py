"""A song in, a file of one format out, chunk by chunk: a transcoder and the packager of its container, in one.

Invariant: `init` and the chunks, joined, are a valid file; any suffix of the chunks behind `init` is a stream that a
player can join. A chunk is whole packets, of at least 100 ms together but for the last one, and for one before a gap.
It must not know who hears it, nor where the song comes from.
"""

from transcode.formats import Format, StreamFormat
from transcode.packager.door import Packager, packager
from transcode.packet import Packet
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder

CHUNK_SECONDS = 0.1


class Converter:
    """`form` is what comes out, coded after `spec`; `pcm` tells of raw 16-bit samples that go in, as in Transcoder.

    `init` is b"" until the first chunk is out, and for formats that need none. Raises what Transcoder does.
    """

    def __init__(self, form: Format, spec: EncoderSpec, *, pcm: StreamFormat | None = None) -> None:
        self._form = form
        self._least = round(CHUNK_SECONDS * spec.sample_rate)
        self._transcoder = Transcoder(spec, pcm=pcm)
        self._packager: Packager | None = None
        self._waiting: list[Packet] = []
        self._length = 0  # of those that wait, in samples

    @property
    def init(self) -> bytes:
        """What stands before the chunks."""
        return self._packager.init if self._packager is not None else b""

    def feed(self, data: bytes) -> list[Packet]:
        """Take bytes of the song; give the chunks that are ready, their `data` the container's bytes."""
        return self._chunks(self._transcoder.feed(data))

    def flush(self) -> list[Packet]:
        """Give the rest: the song is over."""
        chunks = self._chunks(self._transcoder.flush())
        if self._waiting:
            chunks.append(self._packed(last=True))
        return chunks

    def close(self) -> None:
        """It is needed no more."""
        self._transcoder.close()

    def _chunks(self, packets: list[Packet]) -> list[Packet]:
        chunks = []
        for packet in packets:
            # One that is long enough waits for the next packet: it could be the last one, and is then marked as such.
            if self._length >= self._least or (self._waiting and packet.discontinuity):
                chunks.append(self._packed(last=False))
            self._waiting.append(packet)
            self._length += packet.duration
        return chunks

    def _packed(self, *, last: bool) -> Packet:
        if self._packager is None:
            config = self._transcoder.config
            assert config is not None, "it is known with the first packet"
            self._packager = packager(self._form, config)
        packets, self._waiting = self._waiting, []
        length, self._length = self._length, 0
        data = self._packager.pack(packets, last=last)
        first = packets[0]
        padding = sum(packet.padding for packet in packets)
        return Packet(data, first.pts, length, padding, first.discontinuity)
