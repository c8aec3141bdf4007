"""Small fakes for the relay's ports, each with one trick or one defect, and the channels and songs to try them on.

Invariant: nothing here sleeps or reads a clock, and what a fake was told is kept in the order in which it came.
It must not know how the code under test works inside.
"""

import asyncio
import itertools
import random
import struct
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import Any, TypeVar

from gateway.accounting import Budget, Grant, Remaining, Reservation, Settlement, Traffic
from gateway.errors import LimitError, WavegateError
from gateway.model import (
    Chunk,
    Flag,
    GenerationRequest,
    Mode,
    Position,
    Principal,
    RenditionId,
    SongInput,
    SongRequest,
    SourceEvent,
    Status,
    StreamId,
    TenantId,
)
from gateway.relay.account import Account
from gateway.relay.channel import Channel
from gateway.relay.fanout import FanOut
from gateway.relay.instruments import Instruments
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Outcome
from gateway.relay.ports import Encodings
from gateway.relay.renditions import Workshop
from metrics.recorder import Recorder
from tests.support.encoding import ScriptedEncodings
from transcode.formats import MP3, Format, StreamFormat

T = TypeVar("T")

TENANT = TenantId("acme")
BUYER = Principal(TENANT, "k")
RATE = 44100
DETAILS = StreamFormat(MP3, RATE, 2, 128000)
RENDITION = RenditionId(StreamId("st_1"), number=7, epoch=3)
# An MPEG 1 Layer III header: 128 kbit/s at 44.1 kHz in stereo, a frame of 417 bytes and 1152 samples.
FRAME_HEADER = b"\xff\xfb\x90\x64"
FRAME_SAMPLES = 1152
FRAME_SECONDS = FRAME_SAMPLES / RATE


def song(*, form: str = "mp3", lyrics: str | None = None, prompt: str | None = "A quiet song") -> SongRequest:
    """A request as the door hands it on."""
    return SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt=prompt, lyrics=lyrics, format=form))


def mp3_frames(count: int, first: int = 0) -> list[bytes]:
    """Whole MP3 frames without sound, each with its own number in it."""
    return [FRAME_HEADER + b"%08d" % number + bytes(405) for number in range(first, first + count)]


def wav(samples: int, rate: int = 24000) -> bytes:
    """A mono WAV of 16-bit samples, no two of its stretches alike."""
    sound = random.Random(2).randbytes(samples * 2)
    head = struct.pack("<4sI4s4sIHHIIHH", b"RIFF", 36 + len(sound), b"WAVE", b"fmt ", 16, 1, 1, rate, rate * 2, 2, 16)
    return head + struct.pack("<4sI", b"data", len(sound)) + sound


def workshop(
    *,
    encodings: Encodings | None = None,
    recorder: Recorder | None = None,
    now: Callable[[], float] | None = None,
    max_bytes: int = 1 << 20,
    max_formats: int = 12,
) -> Workshop:
    """What a stream makes other formats with; names of renditions count from 100."""
    numbers = itertools.count(100)
    return Workshop(
        encodings or ScriptedEncodings(),
        instruments(recorder, now),
        lambda: RenditionId(RENDITION.stream_id, number := next(numbers), number),
        max_bytes,
        max_formats,
        keep_seconds=10.0,
    )


def instruments(recorder: Recorder | None = None, now: Callable[[], float] | None = None) -> Instruments:
    """What the relay is driven by, without a loop: every crowd is served to its end at once."""
    now = now or Clock()
    return Instruments(recorder or Recorder(), now, now, FanOut(lambda turn: turn()))


class Clock:
    """A clock that stands until it is put forward; seconds."""

    def __init__(self, at: float = 1000.0) -> None:
        self.at = at

    def __call__(self) -> float:
        return self.at


class Pipe:
    """A transport that takes `room` bytes and then stalls; without `room` it takes everything.

    `said` is what it was told, in order: ("started", position), ("chunk", seq), ("gap", from, to, reason),
    ("news", text), ("refused", code), ("ended", code or None).
    """

    name = "pipe"
    # So that a chunk can be told from its bytes.
    form: Callable[[Chunk], Any] = staticmethod(lambda chunk: chunk)

    def __init__(self, room: int | None = None) -> None:
        self.room = room
        self.said: list[tuple[object, ...]] = []
        self.chunks: list[Chunk] = []
        self.batches: list[int] = []
        self.announced: tuple[StreamFormat, int, Chunk | None] | None = None
        self.outcome: Outcome | None = None

    @property
    def writable(self) -> bool:
        return self.room is None or self.room > 0

    def started(self, at: Position, form: StreamFormat, number: int, init: Chunk | None) -> None:
        self.said.append(("started", at))
        self.announced = (form, number, init)

    @property
    def line(self) -> "Pipe":
        return self

    @property
    def sink(self) -> "Pipe":
        return self

    def write(self, chunk: Any) -> None:
        self.send([chunk])

    def send(self, chunks: Sequence[Chunk]) -> None:
        assert self.writable, "nothing may be sent to a transport that is full"
        self.said += [("chunk", chunk.seq) for chunk in chunks]
        self.chunks += chunks
        self.batches.append(sum(len(chunk.payload) for chunk in chunks))
        if self.room is not None:
            self.room -= self.batches[-1]

    def metadata(self, text: bytes) -> None:
        self.said.append(("news", text))

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        self.said.append(("gap", from_seq, to_seq, reason))

    def refused(self, error: WavegateError) -> None:
        self.said.append(("refused", error.code))

    def ended(self, outcome: Outcome) -> None:
        self.said.append(("ended", outcome.error.code if outcome.error else None))
        self.outcome = outcome

    @property
    def heard(self) -> bytes:
        """The joined payloads of what was sent, without the init chunk."""
        return b"".join(chunk.payload for chunk in self.chunks)


class BrokenPipe(Pipe):
    """A transport that raises when it is written to, as one does whose socket was closed behind its back."""

    def send(self, chunks: Sequence[Chunk]) -> None:
        raise RuntimeError("the socket is closed")

    def metadata(self, text: bytes) -> None:
        raise RuntimeError("the socket is closed")


def new_channel(
    *, max_bytes: int = 1 << 20, form: Format = MP3, recorder: Recorder | None = None, clock: Clock | None = None
) -> Channel:
    """A channel that has not opened yet."""
    return Channel(RENDITION, form, instruments(recorder, clock), max_bytes)


def open_channel(*, max_bytes: int = 1 << 20, recorder: Recorder | None = None) -> Channel:
    """A channel of MP3 that is open and empty."""
    channel = new_channel(max_bytes=max_bytes, recorder=recorder)
    channel.open(DETAILS, b"", 1000.0)
    return channel


def grow(channel: Channel, count: int, *, size: int = 100, seconds: float = 0.1) -> list[bytes]:
    """Appends chunks of `size` bytes, each with its own number in it, and gives their payloads."""
    payloads = [b"%08d" % (channel.end + index) + bytes(size - 8) for index in range(count)]
    for payload in payloads:
        channel.append(payload, round(seconds * RATE), Flag.RANDOM_ACCESS, 1000.0)
    return payloads


def listen(
    channel: Channel, pipe: Pipe, seq: int = 0, on_lag: OnLag = OnLag.COMPLETE, live_lag: float = 5.0
) -> Listener:
    """A listener that has joined."""
    listener = Listener(channel, pipe, seq, on_lag, live_lag)
    listener.join()
    return listener


def drain(listener: Listener, pipe: Pipe, room: int | None = None) -> None:
    """The socket has room for so many bytes again and says so."""
    pipe.room = room
    listener.pump()


class ScriptedSource:
    """Says its steps one after another; an exception among them is raised, an asyncio.Event is waited for."""

    def __init__(self, *steps: SourceEvent | Exception | asyncio.Event) -> None:
        self.steps = steps
        self.songs: list[GenerationRequest] = []
        self.let_go = 0

    def open(
        self, request: GenerationRequest, tenant: TenantId
    ) -> AbstractAsyncContextManager[AsyncIterator[SourceEvent]]:
        return self._open(request)

    @asynccontextmanager
    async def _open(self, request: GenerationRequest) -> AsyncIterator[AsyncIterator[SourceEvent]]:
        self.songs.append(request)
        try:
            async with aclosing(self._say()) as events:
                yield events
        finally:
            self.let_go += 1

    async def _say(self) -> AsyncGenerator[SourceEvent, None]:
        for step in self.steps:
            if isinstance(step, asyncio.Event):
                await step.wait()
            elif isinstance(step, Exception):
                raise step
            else:
                yield step


class ScriptedLedger:
    """Grants everything and keeps what it was asked; `refusal`, `fault` and `hold` make it refuse, fail and hang.

    `settled` has the seconds that are charged: what is billed of a song that is whole, else what was received of it.
    Of `budget` seconds more and more are granted until they are gone.
    """

    def __init__(self, granted: float = 1e9, budget: float = 0.0) -> None:
        self.granted = granted
        self.budget = budget
        self.reserved: list[tuple[TenantId, StreamId]] = []
        self.reservations: list[Reservation] = []
        self.withdrawn: list[StreamId] = []
        self.begun: list[tuple[StreamId, str | None]] = []
        self.renewed: list[StreamId] = []
        self.settled: list[tuple[StreamId, float]] = []
        self.settlements: list[Settlement] = []
        self.traffic: list[Traffic] = []
        self.refusal: WavegateError | None = None
        self.fault: Exception | None = None
        self.hold: asyncio.Event | None = None
        self.repeats: StreamId | None = None
        self.lost = False
        self.left = Remaining(Budget(0, 0.0), Budget(0, 0.0), Budget(0, 0.0), Budget(0, 0.0))

    async def remaining(self, tenant: TenantId) -> Remaining:
        self._fail()
        return self.left

    async def reserve(self, reservation: Reservation) -> Grant:
        if self.refusal is not None:
            raise self.refusal
        if self.repeats is not None:
            return Grant(self.repeats, self.granted, repeated=True)
        self.reserved.append((reservation.principal.tenant, reservation.stream_id))
        self.reservations.append(reservation)
        return Grant(reservation.stream_id, self.granted)

    async def withdraw(self, stream_id: StreamId) -> None:
        self.withdrawn.append(stream_id)

    async def begin(self, stream_id: StreamId, provider_request_id: str | None) -> None:
        if self.hold is not None:
            await self.hold.wait()
        self.begun.append((stream_id, provider_request_id))
        self._fail()

    async def renew(self, stream_id: StreamId, received_seconds: float) -> bool:
        self.renewed.append(stream_id)
        self._fail()
        return not self.lost

    async def extend(self, stream_id: StreamId, seconds: float) -> float:
        if self.hold is not None:
            await self.hold.wait()
        self._fail()
        if self.budget <= 0:
            raise LimitError("quota_exceeded", "The budget has ended.")
        more = min(seconds, self.budget)
        self.budget -= more
        return more

    async def settle(self, stream_id: StreamId, settlement: Settlement) -> None:
        whole = settlement.status is Status.COMPLETED and settlement.billed_seconds is not None
        seconds = settlement.billed_seconds if whole else settlement.received_seconds
        self.settled.append((stream_id, seconds or 0.0))
        self.settlements.append(settlement)
        if self.hold is not None:
            await self.hold.wait()
        self._fail()

    async def heard(self, traffic: Sequence[Traffic]) -> None:
        self._fail()
        self.traffic += traffic

    async def sweep(self) -> int:
        self._fail()
        return 0

    def _fail(self) -> None:
        if self.fault is not None:
            raise self.fault


def account(ledger: ScriptedLedger | None = None, granted: float = 1e9) -> Account:
    """That of the stream that tests play with."""
    return Account(ledger or ScriptedLedger(), RENDITION.stream_id, granted)


async def until(condition: Callable[[], bool], turns: int = 1000) -> None:
    """Lets the loop turn until the condition holds; a bounded number of turns, and no time."""
    for _ in range(turns):
        if condition():
            return
        await asyncio.sleep(0)
    raise AssertionError(f"still not so after {turns} turns of the loop")


async def within(awaitable: Awaitable[T], seconds: float = 20.0) -> T:
    """Awaits, but not for ever."""
    return await asyncio.wait_for(awaitable, seconds)
