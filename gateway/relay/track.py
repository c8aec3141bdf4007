"""A track: one encode of a stream, made elsewhere, and all that has come of it.

It is a position in the provider's channel, like a listener: new audio pumps it, and so does the end of its last step.
Invariant: one step is out at a time, and a step takes what has come by then; whatever happens to those who encode,
the packets lie on one grid without hole or overlap. It must not know containers, sockets or how encoding is done.
"""

from typing import Protocol

from gateway.errors import ServiceError, WavegateError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.ports import Encoding, Encodings
from transcode.packet import CodecConfig, Encoded, Packet, Resume
from transcode.spec import EncoderSpec

# What a step takes at most, or a single chunk: long enough that its messages cost little beside its work, and short
# enough that 50 encodes on one processor take turns many times a second.
STEP_SECONDS = 0.25
_USUAL_BITRATE = 192_000
# Deaths without a packet in between after which it is this song that kills: each costs everybody else at that worker.
MOST_LOSSES = 3


class Reader(Protocol):
    """Who waits for packets."""

    def pump(self) -> None: ...


class Track:
    """`packets` are those kept, the first of them number `first` of all, and `size` their bytes: beyond `max_bytes` the
    oldest go. `config` is known with the first of them; `over` tells that none follow.

    Then `error` is None, or why there are no more. Raises ServiceError `transcoding_full` when it cannot begin.
    """

    def __init__(self, native: Channel, spec: EncoderSpec, encodings: Encodings, max_bytes: int) -> None:
        self.spec = spec
        self.packets: list[Packet] = []
        self.first = 0
        self.size = 0
        self.config: CodecConfig | None = None
        self.over = False
        self.error: WavegateError | None = None
        self.readers: dict[Reader, None] = {}
        self.native = native
        self._encodings = encodings
        self._max_bytes = max_bytes
        self._next = 0
        self._lead = 0
        self._rewind = 0
        self._fresh = True  # the next step is the first of its encode
        self._busy = False
        self._last = False  # the last step is out
        self._losses = 0  # since the last packet
        self._encoding: Encoding | None = encodings.open(spec, self)
        native.followers[self] = None

    # -- called by the channel -------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Hands on what has come, unless a step is out."""
        native, encoding = self.native, self._encoding
        if self._busy or self.over or encoding is None or native.details is None:
            return
        torn = self._next < native.first
        self._next = max(self._next, native.first)
        limit = STEP_SECONDS * (native.details.bitrate or _USUAL_BITRATE) / 8
        chunks = native.read(self._next, round(limit))
        stop = self._next + len(chunks)
        last = native.outcome is not None and stop >= native.end
        if not chunks and not last:
            return
        data = b"".join([chunk.payload for chunk in chunks])
        if self._fresh and native.init is not None:
            data = native.init.payload + data
        torn = torn or (bool(chunks) and bool(chunks[0].flags & Flag.DISCONTINUITY))
        self._next, self._fresh, self._busy, self._last = stop, False, True, last
        encoding.step(data, discontinuity=torn, last=last)

    def tell(self, text: bytes) -> None:
        """News beside the sound are not encoded."""

    def fail(self) -> None:
        """A fault of ours in this track; nobody else is touched by it."""
        self._end(ServiceError("internal", "Something went wrong while this format was made."))

    # -- called by those who encode --------------------------------------------------------------------------------

    def encoded(self, result: Encoded) -> None:
        """A step is done."""
        self._busy = False
        self.config = result.config or self.config
        self._lead, self._rewind = result.lead, result.rewind
        self.packets.extend(result.packets)
        self.size += sum([len(packet.data) for packet in result.packets])
        if result.packets:
            self._losses = 0
        if self._last:
            self._end(None)
        else:
            self._tell_readers()
            self.pump()
        if self.size > self._max_bytes:
            self._trim()

    def failed(self, error: WavegateError) -> None:
        """The codec cannot go on with this song."""
        self._encoding = None
        self._end(error)

    def lost(self) -> None:
        """Whoever encoded has died: somebody else takes it up where it was."""
        self._encoding = None
        self._busy = self._last = False
        self._losses += 1
        if self._losses < MOST_LOSSES:
            self.take_up()
        else:
            self._end(ServiceError("transcoding_failed", "This song cannot be made into this format."))

    # -- called by the renditions ----------------------------------------------------------------------------------

    def take_up(self) -> None:
        """Goes on with an encode that was lost; without room for it the next call may do better."""
        if self._encoding is not None or self.over:
            return
        native = self.native
        resume, start = None, 0
        if self.packets:
            at = self.packets[-1].pts + self.packets[-1].duration
            start = native.seq_at(self._rewind)
            resume = Resume(at, native.pts(start), self._lead)
        try:
            self._encoding = self._encodings.open(self.spec, self, resume)
        except ServiceError:
            return
        self._next, self._fresh = start, True
        self.pump()

    def close(self) -> None:
        """Nobody waits for it any more."""
        self._end(None)

    def _trim(self) -> None:
        """Down to three quarters of what may be kept, so that a long list is not moved at every step."""
        gone = 0
        while self.size > self._max_bytes * 3 // 4 and gone < len(self.packets) - 1:
            self.size -= len(self.packets[gone].data)
            gone += 1
        del self.packets[:gone]
        self.first += gone

    def _end(self, error: WavegateError | None) -> None:
        if self.over:
            return
        self.over, self.error = True, error
        self.native.followers.pop(self, None)
        if self._encoding is not None:
            self._encoding.close()
            self._encoding = None
        self._tell_readers()

    def _tell_readers(self) -> None:
        for reader in tuple(self.readers):
            reader.pump()
