"""A song being heard: an async iterator of frames that outlives broken connections.

It pulls: nothing is read from the socket until the iterator is asked, so there is no queue and no task, and a consumer
that takes its time leaves the backlog where it is anyway, at the gateway. Invariant: every frame comes once and in
order; what could not be had is counted in `statistics.gaps`; the end is a StopAsyncIteration or one ClientError.
It must not know how a connection is made or which credentials it takes.
"""

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from msgspec.structs import replace

from gateway.client.backoff import BackOff
from gateway.client.connection import Connection
from gateway.client.ending import NOT_FOUND, POSITION_LOST, Ending
from gateway.client.errors import ClientError
from gateway.client.event import TOLD, Event, Events, Interruption, State
from gateway.client.heard import Heard
from gateway.client.news import News
from gateway.client.statistics import Statistics
from gateway.client.wire import Frame, ServerMessage
from gateway.model import Kind, Position
from gateway.protocol import events
from gateway.protocol.messages import Ping, Since, StreamAttach, StreamCancel


@dataclass(frozen=True, slots=True)
class Means:
    """What a song needs from outside: a new connection, a way to wait, a clock (monotonic seconds)."""

    connect: Callable[[], Awaitable[Connection]]
    sleep: Callable[[float], Awaitable[None]]
    now: Callable[[], float]
    forget: Callable[["Song"], None]


class Song:
    """Made by `Client.create`, `Client.speak` and `Client.attach`; `async for frame in song` hears it.

    `id` names the stream. `info` is what the gateway said of it when it was ordered, None for one that was joined.
    `format` is known with the first frame. `completed` and `verified` are set at the end: `verified` is True when every
    byte was heard and their SHA-256 is what the gateway announced (`completed.sha256`), False when it is not, None when
    parts were not heard. As a context (`async with song:`) it stops listening when the block ends.
    """

    def __init__(
        self,
        connection: Connection,
        attach: StreamAttach,
        info: events.StreamInfo | None,
        means: Means,
        backoff: BackOff,
        ordered_at: float,
        reconnects: int = 0,
    ) -> None:
        self.id = attach.stream_id
        self.info = info
        self.state = State.WAITING
        self.format: events.FormatInfo | None = None
        self.completed: events.StreamCompleted | None = None
        self.verified: bool | None = None
        self._connection: Connection | None = connection
        self._attach = attach
        self._means = means
        self._backoff = backoff
        self._heard = Heard()
        self._news = News(info)
        self._told: deque[Event] = deque()
        self._error: ClientError | None = None
        self._delay = 0.0
        self._goaway: float | None = None
        self._place_lost = False
        self._answered = info is not None
        self._reconnects = reconnects
        self._ordered_at = ordered_at
        self._connected_at = ordered_at
        self._first_audio_at: float | None = None
        self._ended_at: float | None = None

    # -- what is known of it ---------------------------------------------------------------------------------------

    @property
    def position(self) -> Position | None:
        """The first frame not yet received: what `Client.attach(since=...)` takes to go on from here, even later."""
        return self._heard.position

    @property
    def title(self) -> str | None:
        """A line to show for it."""
        return self._news.title

    @property
    def lyrics(self) -> str | None:
        """What is sung, as far as it is known; the provider may tell at the end."""
        return self._news.lyrics

    @property
    def queued(self) -> events.StreamQueued | None:
        """Its place in the queue for the provider (`position` from 1, `eta_ms`), None once it sounds."""
        return self._news.queued

    @property
    def quota(self) -> events.QuotaUpdated | None:
        """What the tenant has left, as told last; only holders of a key are told."""
        return self._news.quota

    @property
    def sha256(self) -> str | None:
        """SHA-256 in hex of all payloads so far, None when they are not the song's from its start without a gap."""
        return self._heard.sha256

    @property
    def statistics(self) -> Statistics:
        """How it is going, now."""
        heard, news = self._heard, self._news
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
            behind=0.0 if self.completed else max(0.0, news.generated - heard.end),
            listeners=news.listeners,
            reconnects=self._reconnects,
            gaps=heard.gaps,
            doubles=heard.doubles,
        )

    # -- hearing it ------------------------------------------------------------------------------------------------

    async def read(self) -> bytes:
        """Everything that is still to come, joined: from the start, a valid file of the format. Raises ClientError."""
        return b"".join([frame.payload async for frame in self])

    def events(self) -> AsyncIterator[Event]:
        """Frames as `async for` over the song gives them, and between them, in order, what the gateway tells.

        Both may be asked in turns. A call that is cancelled loses nothing.
        """
        return Events(self.next_event)

    async def cancel(self) -> None:
        """Asks the gateway to end the generation, for everybody; the iterator then ends with `cancelled`.

        Raises ClientError when the connection is gone. `Client.cancel` asks without one.
        """
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
        self._told.clear()
        self._means.forget(self)
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Frame:
        while (event := await self.next_event()) is not None:
            if isinstance(event, Frame):
                return event
        raise StopAsyncIteration

    async def next_event(self) -> Event | None:
        """The next of `events`, None at the end. Raises ClientError."""
        if self._told:
            return self._told.popleft()
        if self._error is not None:
            raise self._error
        try:
            while self.state not in (State.COMPLETED, State.ENDED):
                event = await self._step()
                if event is not None:
                    return event
        except ClientError as error:
            self._error = error
            await self.close()
            raise
        await self.close()
        return None

    # -- for the client that made it -------------------------------------------------------------------------------

    async def confirm(self) -> None:
        """Waits until the gateway has said yes or no to the attachment, over broken connections. Raises ClientError."""
        assert self._connection is not None
        try:
            await self._say_where(self._connection)
        except Ending as ending:
            self._told.append(await self._broken(ending))
        while not self._answered and self.state is not State.ENDED:
            if (event := await self._step()) is not None:
                self._told.append(event)

    def tell(self, message: ServerMessage | Frame) -> None:
        """Takes a message that came before anybody asked for it, and keeps it for who will. Raises as `_take`."""
        if (event := self._take(message)) is not None:
            self._told.append(event)

    # -- one step --------------------------------------------------------------------------------------------------

    async def _step(self) -> Event | None:
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
                return await self._broken(ending)
        return None

    async def _rejoined(self) -> Connection:
        """A new connection on which the gateway has been told where to go on. Raises Ending."""
        connection = await self._means.connect()
        try:
            await self._say_where(connection)
        except BaseException:
            await connection.close()
            raise
        self._connected_at = self._means.now()
        self._reconnects += 1
        if self.state is State.RECONNECTING:
            self.state = State.WAITING if self._first_audio_at is None else State.RECEIVING
        return connection

    async def _say_where(self, connection: Connection) -> None:
        await connection.say(replace(self._attach, since=self._since()))
        if not self._answered:
            # Messages are answered in order, so the pong comes after a refusal and before a long silence.
            await connection.say(Ping())

    def _since(self) -> str | Since:
        """Where to go on: the first frame not yet received; if that place is lost, where the song is whole."""
        place = self._heard.position
        if place is None:
            return self._attach.since
        if self._place_lost:
            return "start" if self._attach.on_lag == "complete" else "live"
        return Since(epoch=place.epoch, seq=place.seq)

    async def _broken(self, ending: Ending) -> Event:
        """Lets the connection go and decides when to come back. Raises ClientError if never."""
        connection, self._connection = self._connection, None
        if connection is not None and self._means.now() - self._connected_at >= self._backoff.patience.cap:
            self._backoff.recovered()
        ending.told_to_wait(self._goaway)
        self._goaway = None
        self._place_lost = self._place_lost or ending.code == POSITION_LOST
        try:
            self._delay = self._backoff.delay(ending)
            self.state = State.RECONNECTING
        except ClientError as error:
            raise self._explained(error, ending) from ending
        finally:  # last, because a cancelled wait for it must not lose the decision
            if connection is not None:
                await connection.close()
        return Interruption(ending.error(), self._delay)

    def _explained(self, error: ClientError, ending: Ending) -> ClientError:
        """A song that was there and is not any more deserves more than `there is no such stream`."""
        if ending.code != NOT_FOUND or not self._answered:
            return error
        sentence = f"It was there before: the gateway has been restarted or has let it go. {self._heard.seconds:.1f} s"
        return error.adding(f"{sentence} of it were heard.")

    def _take(self, message: ServerMessage | Frame) -> Event | None:
        """What a message means for the song: something to hand out, or nothing. Raises Ending, ClientError."""
        if isinstance(message, Frame):
            return self._take_frame(message)
        if isinstance(message, events.Error):
            ending = Ending.of_body(message.error)
            raise ending if self._answered else ending.error()  # a first wish that is refused has its answer
        if isinstance(message, events.StreamFailed):
            raise ClientError.of(message.error)
        self._news.take(message)
        if isinstance(message, events.Goaway):
            self._goaway = message.reconnect_after_ms / 1000
        elif not isinstance(message, events.QuotaUpdated):
            self._answered = True
        if isinstance(message, events.StreamStarted):
            self._heard.started(message)
            self._place_lost = False
            self.format = message.format
        elif isinstance(message, events.StreamGap):
            self._heard.gap(message)
        elif isinstance(message, events.StreamCompleted):
            self.completed = message
            self.verified = self._heard.verified(message)
            self.state = State.COMPLETED
        return message if isinstance(message, TOLD) else None

    def _take_frame(self, frame: Frame) -> Frame | None:
        if not self._heard.take(frame):
            return None
        self.state = State.RECEIVING
        self._backoff.recovered()
        if self._first_audio_at is None and frame.header.kind is Kind.AUDIO:
            self._first_audio_at = self._means.now()
        return frame
