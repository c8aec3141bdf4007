"""A song being heard: an async iterator of frames that outlives broken connections.

It pulls: nothing is read from the socket until the iterator is asked, so there is no queue and no task, and a consumer
that takes its time leaves the backlog where it is anyway, at the gateway. Invariant: every frame comes once and in
order; what could not be had is counted in `statistics.gaps`; the end is a StopAsyncIteration or one ClientError.
It must not know how a connection is made or which credentials it takes.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Self

from msgspec import UNSET
from msgspec.structs import replace

from gateway.client.backoff import BackOff
from gateway.client.connection import Connection
from gateway.client.ending import POSITION_LOST, Ending, Move
from gateway.client.errors import ClientError
from gateway.client.heard import Heard
from gateway.client.statistics import Statistics
from gateway.client.wire import Frame, ServerMessage
from gateway.model import Kind, Position
from gateway.protocol import events
from gateway.protocol.messages import Ping, Since, StreamAttach, StreamCancel


class State(StrEnum):
    """Where a song stands; the last two are final."""

    WAITING = "waiting"
    RECEIVING = "receiving"
    RECONNECTING = "reconnecting"
    COMPLETED = "completed"
    ENDED = "ended"


@dataclass(frozen=True, slots=True)
class Means:
    """What a song needs from outside: a new connection, a way to wait, a clock (monotonic seconds)."""

    connect: Callable[[], Awaitable[Connection]]
    sleep: Callable[[float], Awaitable[None]]
    now: Callable[[], float]
    forget: Callable[["Song"], None]


class Song:
    """Made by `Client.create` and `Client.attach`; `async for frame in song` hears it.

    `id` names the stream. `info` is what the gateway said of it at `create`, None for a song that was joined. `format`
    is known with the first frame. `completed` and `verified` are set at the end: `verified` is True when every byte
    was heard and hashes to what the gateway announced, False when it does not, None when parts were not heard.
    """

    def __init__(
        self,
        connection: Connection,
        attach: StreamAttach,
        info: events.StreamInfo | None,
        means: Means,
        backoff: BackOff,
        ordered_at: float,
    ) -> None:
        self.id = attach.stream_id
        self.info = info
        self.state = State.WAITING
        self.format: events.FormatInfo | None = None
        self.completed: events.StreamCompleted | None = None
        self.verified: bool | None = None
        self.title = info.title if info else None
        self.lyrics = info.lyrics if info else None
        self._connection: Connection | None = connection
        self._attach = attach
        self._means = means
        self._backoff = backoff
        self._heard = Heard()
        self._error: ClientError | None = None
        self._delay = 0.0
        self._goaway: float | None = None
        self._place_lost = False
        self._answered = False
        self._reconnects = 0
        self._listeners = info.listeners if info else None
        self._generated = info.duration_seconds if info else 0.0
        self._ordered_at = ordered_at
        self._connected_at = ordered_at
        self._first_audio_at: float | None = None
        self._ended_at: float | None = None

    @property
    def position(self) -> Position | None:
        """The first frame not yet received: what `Client.attach(since=...)` takes to go on from here, even later."""
        return self._heard.position

    @property
    def statistics(self) -> Statistics:
        """How it is going, now."""
        heard = self._heard
        first, elapsed = None, 0.0
        if self._first_audio_at is not None:
            first = self._first_audio_at - self._ordered_at
            until = self._means.now() if self._ended_at is None else self._ended_at
            elapsed = until - self._first_audio_at
        return Statistics(
            first_audio=first,
            elapsed=elapsed,
            seconds=heard.seconds,
            bytes=heard.bytes,
            frames=heard.frames,
            behind=0.0 if self.completed else max(0.0, self._generated - heard.end),
            listeners=self._listeners,
            reconnects=self._reconnects,
            gaps=heard.gaps,
            doubles=heard.doubles,
        )

    async def confirm(self) -> None:
        """Waits until the gateway has said yes or no to the attachment. Raises Ending or ClientError."""
        assert self._connection is not None
        # Messages are answered in order, so the pong comes after a refusal and before a long silence.
        await self._connection.say(self._attach)
        await self._connection.say(Ping())
        while not self._answered:
            self._take(await self._connection.receive())

    async def cancel(self) -> None:
        """Asks the gateway to end the generation, for everybody; the iterator then ends with `cancelled`."""
        if self._connection is not None:
            try:
                await self._connection.say(StreamCancel(stream_id=self.id))
            except Ending as ending:
                raise ending.error() from ending

    async def close(self) -> None:
        """Stops listening. The generation goes on as the tenant's settings say; a second call does nothing."""
        if self.state not in (State.COMPLETED, State.ENDED):
            self.state = State.ENDED
        if self._ended_at is None:
            self._ended_at = self._means.now()
        self._means.forget(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        if self._error is not None:
            raise self._error
        try:
            while self.state not in (State.COMPLETED, State.ENDED):
                frame = await self._step()
                if frame is not None:
                    return frame
        except ClientError as error:
            self._error = error
            await self.close()
            raise
        await self.close()
        raise StopAsyncIteration

    async def _step(self) -> Frame | None:
        """One message heard, or one connection made: what is done in between can be cancelled and asked for again."""
        try:
            if self._connection is None:
                await self._means.sleep(self._delay)
                self._connection = await self._rejoined()
            # Whoever closed the song meanwhile, from another task, wants no more of it.
            if self.state is not State.ENDED:
                return self._take(await self._connection.receive())
        except Ending as ending:
            if self.state is not State.ENDED:
                await self._broken(ending)
        return None

    async def _rejoined(self) -> Connection:
        """A new connection on which the gateway has been told where to go on. Raises Ending."""
        connection = await self._means.connect()
        try:
            await connection.say(replace(self._attach, since=self._since()))
        except BaseException:
            await connection.close()
            raise
        self._connected_at = self._means.now()
        self._reconnects += 1
        if self.state is State.RECONNECTING:
            self.state = State.WAITING if self._first_audio_at is None else State.RECEIVING
        return connection

    def _since(self) -> str | Since:
        """Where to go on: the first frame not yet received; if that place is lost, where the song is whole."""
        place = self._heard.position
        if place is None:
            return self._attach.since
        if self._place_lost:
            return "start" if self._attach.on_lag == "complete" else "live"
        return Since(epoch=place.epoch, seq=place.seq)

    async def _broken(self, ending: Ending) -> None:
        """Lets the connection go and decides when to come back. Raises ClientError if never."""
        connection, self._connection = self._connection, None
        if connection is not None and self._means.now() - self._connected_at >= self._backoff.patience.cap:
            self._backoff.recovered()
        if ending.move is Move.AS_TOLD and ending.retry_after is None:
            ending.retry_after = self._goaway
        self._goaway = None
        self._place_lost = self._place_lost or ending.code == POSITION_LOST
        try:
            self._delay = self._backoff.delay(ending)
            self.state = State.RECONNECTING
        finally:  # last, because a cancelled wait for it must not lose the decision
            if connection is not None:
                await connection.close()

    def _take(self, message: ServerMessage | Frame) -> Frame | None:
        """What a message means for the song: a frame to hand out, or a change of state."""
        if isinstance(message, Frame):
            return self._take_frame(message)
        if isinstance(message, events.Error):
            raise Ending.of_body(message.error)
        if isinstance(message, events.Goaway):
            self._goaway = message.reconnect_after_ms / 1000
            return None
        self._answered = True
        if isinstance(message, events.StreamStarted):
            self._heard.started(message)
            self._place_lost = False
            self.format = message.format
        elif isinstance(message, events.StreamMetadata):
            self._take_news(message)
        elif isinstance(message, events.StreamGap):
            self._heard.gap(message)
        elif isinstance(message, events.StreamCompleted):
            self.completed = message
            self.verified = self._heard.verified(message)
            self.state = State.COMPLETED
        elif isinstance(message, events.StreamFailed):
            raise ClientError.of(message.error)
        return None

    def _take_frame(self, frame: Frame) -> Frame | None:
        if not self._heard.take(frame):
            return None
        self.state = State.RECEIVING
        self._backoff.recovered()
        if self._first_audio_at is None and frame.header.kind is Kind.AUDIO:
            self._first_audio_at = self._means.now()
        return frame

    def _take_news(self, news: events.StreamMetadata) -> None:
        if news.listeners is not UNSET:
            self._listeners = news.listeners
        if news.title is not UNSET:
            self.title = news.title
        if news.lyrics is not UNSET:
            self.lyrics = news.lyrics
        if news.generated_seconds is not UNSET:
            self._generated = news.generated_seconds
