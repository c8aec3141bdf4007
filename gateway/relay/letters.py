"""What nodes say to each other about streams, as octets: questions, answers, and the entries of a rendition's log.

Invariant: what is read here is exactly what was written; an entry of audio is a fixed head and the payload, so that
writing and reading one costs next to nothing. A newer node may say more than an older one knows: that is passed over.
It must not know how octets get from one node to another.
"""

import struct
from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from gateway.errors import HANDLING, WavegateError
from gateway.model import (
    Chunk,
    Flag,
    GenerationRequest,
    Position,
    Queued,
    RenditionId,
    SongRequest,
    SpeechRequest,
    Status,
    StreamId,
    TenantId,
)
from gateway.relay.outcome import Bill, Outcome
from gateway.relay.wishes import Wished
from transcode.formats import FORMATS, StreamFormat
from transcode.spec import Wish


class Letter(msgspec.Struct, kw_only=True):
    """Anything that one node says to another, but for the entries of logs."""

    def octets(self) -> bytes:
        return msgspec.msgpack.encode(self)


class Trouble(Letter):
    """An error, as it is told on: its code says all that a door needs."""

    code: str
    message: str
    param: str | None = None
    retry_after: float | None = None

    @classmethod
    def of(cls, error: WavegateError | None) -> "Trouble | None":
        if error is None:
            return None
        return cls(code=error.code, message=error.message, param=error.param, retry_after=error.retry_after)

    @property
    def error(self) -> WavegateError:
        # A newer node may know more ways to fail.
        code = self.code if self.code in HANDLING else "internal"
        return WavegateError(code, self.message, param=self.param, retry_after=self.retry_after)


def error_of(trouble: Trouble | None) -> WavegateError | None:
    """The error that was told, if one was."""
    return None if trouble is None else trouble.error


class Facts(Letter):
    """All that can be seen of a stream from outside; `number` and `epoch` are of its rendition in the native `form`."""

    id: StreamId
    tenant: TenantId
    song: SongRequest | None
    speech: SpeechRequest | None
    warnings: list[str]
    created_at: float
    finished_at: float | None
    status: Status
    place: Queued | None
    error: Trouble | None
    request_id: str | None
    tries: int
    simulated: bool | None
    lyrics: str | None
    title: str
    bill: Bill
    received_seconds: float
    sample_rate: int | None
    channels: int | None
    listeners: int
    shareable: bool
    form: str
    number: int
    epoch: int

    @property
    def request(self) -> GenerationRequest:
        request = self.song or self.speech
        assert request is not None, "a stream is one of both"
        return request

    @property
    def rendition(self) -> RenditionId:
        return RenditionId(self.id, self.number, self.epoch)


class FactsList(Letter):
    """Of several streams."""

    streams: list[Facts]


class Name(Letter):
    """A stream, as somebody asks for it."""

    tenant: TenantId
    stream_id: StreamId


class Listing(Letter):
    """A tenant, all of whose streams are asked for."""

    tenant: TenantId


class WishLetter(Letter):
    """A format and its numbers."""

    form: str
    wish: Wish


class Want(Letter):
    """What somebody would hear of a stream, best first, and how far they have heard it, in whichever format."""

    stream_id: StreamId
    wishes: list[WishLetter]
    position: Position | None = None

    @property
    def wished(self) -> list[Wished]:
        return [Wished(FORMATS[one.form], one.wish) for one in self.wishes]


def want(stream_id: StreamId, wishes: Sequence[Wished], position: Position | None) -> Want:
    """The letter that asks for it."""
    rows = [WishLetter(form=one.form.name, wish=one.wish) for one in wishes]
    return Want(stream_id=stream_id, wishes=rows, position=position)


class Published(Letter):
    """The rendition that is sent, and in which log; it is wish number `chosen`.

    `end` chunks of it are there, `over` if that is all; `moment` is the second of the position that was asked about,
    None if that is not known.
    """

    chosen: int
    number: int
    epoch: int
    log: str
    end: int
    over: bool
    moment: float | None


def rendition(stream_id: StreamId, published: Published) -> RenditionId:
    """Which one it is: the same on every node."""
    return RenditionId(stream_id, published.number, published.epoch)


class Heard(Letter):
    """Of one stream: how many hear it on the node that says so, and which renditions it still reads.

    `came` is whether anybody has come since the last word: who was there for less than a second was there, too.
    """

    stream_id: StreamId
    listeners: int
    reading: list[int]
    came: bool = False


class HeardList(Letter):
    """What one node hears of another's streams, said about once a second: what is not said any more is not wanted."""

    streams: list[Heard]


class Sharing(Letter):
    """A song that somebody wants to share; `grace` as in an order."""

    tenant: TenantId
    song: SongRequest | None
    speech: SpeechRequest | None
    grace: float | None

    @property
    def request(self) -> GenerationRequest:
        request = self.song or self.speech
        assert request is not None, "an order is one of both"
        return request


def sharing(tenant: TenantId, request: GenerationRequest, grace: float | None) -> Sharing:
    """The letter that asks for it."""
    song = request if isinstance(request, SongRequest) else None
    return Sharing(
        tenant=tenant, song=song, speech=request if isinstance(request, SpeechRequest) else None, grace=grace
    )


class Crowds(Letter):
    """How many of each tenant listen on a node."""

    listeners: dict[TenantId, int]


# -- the entries of a log --------------------------------------------------------------------------------------------

_OPENED, _CHUNK, _NEWS, _ENDED = range(1, 5)
# What it is, seq, pts, duration, flags.
_HEAD = struct.Struct("!BIQIH")


class Opened(Letter):
    """What follows, and where it begins: `pts` in samples at `sample_rate`."""

    form: str
    sample_rate: int
    channels: int
    bitrate: int | None
    init: bytes
    seq: int
    pts: int

    @property
    def details(self) -> StreamFormat:
        return StreamFormat(FORMATS[self.form], self.sample_rate, self.channels, self.bitrate)


class ChunkEntry(NamedTuple):
    """A chunk as it is read from a log: the rendition is known from elsewhere."""

    seq: int
    pts: int
    duration: int
    flags: Flag
    payload: bytes


class News(NamedTuple):
    """A ready WebSocket text frame."""

    text: bytes


class Ended(Letter):
    """Nothing follows; as in `Outcome`."""

    error: Trouble | None
    duration_seconds: float
    chunks: int
    size: int
    sha256: str
    bill: Bill

    def outcome(self, stream_id: StreamId) -> Outcome:
        error = error_of(self.error)
        return Outcome(stream_id, error, self.duration_seconds, self.chunks, self.size, self.sha256, self.bill)


Entry = Opened | ChunkEntry | News | Ended

_opened = msgspec.msgpack.Decoder(Opened)
_ended = msgspec.msgpack.Decoder(Ended)


def opened_entry(details: StreamFormat, init: bytes, seq: int, pts: int) -> bytes:
    """Before the first chunk."""
    about = Opened(
        form=details.format.name,
        sample_rate=details.sample_rate,
        channels=details.channels,
        bitrate=details.bitrate,
        init=init,
        seq=seq,
        pts=pts,
    )
    return bytes([_OPENED]) + about.octets()


def chunk_entry(chunk: Chunk) -> bytes:
    return _HEAD.pack(_CHUNK, chunk.seq, chunk.pts, chunk.duration, chunk.flags) + chunk.payload


def news_entry(text: bytes) -> bytes:
    return bytes([_NEWS]) + text


def ended_entry(outcome: Outcome) -> bytes:
    said = Ended(
        error=Trouble.of(outcome.error),
        duration_seconds=outcome.duration_seconds,
        chunks=outcome.chunks,
        size=outcome.size,
        sha256=outcome.sha256,
        bill=outcome.bill,
    )
    return bytes([_ENDED]) + said.octets()


def read_entry(entry: bytes) -> Entry:
    """What was written. Raises ValueError for what nobody here has written."""
    kind = entry[0] if entry else 0
    if kind == _CHUNK and len(entry) >= _HEAD.size:
        _, seq, pts, duration, flags = _HEAD.unpack_from(entry)
        return ChunkEntry(seq, pts, duration, Flag(flags), entry[_HEAD.size :])
    if kind == _NEWS:
        return News(entry[1:])
    try:
        if kind == _OPENED:
            return _opened.decode(entry[1:])
        if kind == _ENDED:
            return _ended.decode(entry[1:])
    except RecursionError:
        raise ValueError("this entry of a log is nested too deeply") from None
    raise ValueError("this is no entry of a log")
