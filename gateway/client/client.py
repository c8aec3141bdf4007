"""The front door of the Python client: order a song or join one.

    async with Client("http://127.0.0.1:8080", key="demo") as client:
        song = await client.create(prompt="城市夜雨，温柔的钢琴")
        async for frame in song:
            file.write(frame.payload)

Every song has a connection of its own: several songs are several connections. Invariant: what a client opened is closed
when its `async with` ends. It must not know what a song does with its connection.
"""

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Literal, Self, TypeVar

from gateway.client.address import door
from gateway.client.backoff import BackOff, Patience
from gateway.client.connection import SILENCE_SECONDS, Connection, open_connection
from gateway.client.ending import ABNORMAL, Ending, Move
from gateway.client.errors import ClientError
from gateway.client.song import Means, Song
from gateway.model import Position
from gateway.protocol import events
from gateway.protocol.messages import FormatChoice, InputSpec, Since, StreamAttach, StreamCreate

# How long an order or a wish to join may stay unanswered.
ANSWER_SECONDS = 30.0

_Answer = TypeVar("_Answer")

Ticket = str | Callable[[], Awaitable[str]]
Framing = Literal["framed", "json"]
OnLag = Literal["complete", "live"]


class Client:
    """A gateway, seen by one tenant (`key`) or one guest (`ticket`: a string, or a coroutine function that gets one).

    `server` is http(s):// or ws(s)://. A ticket function is asked before every connection, so tickets that can be used
    once survive reconnects. Raises ClientError: `invalid_server`, `invalid_key`, `invalid_ticket`,
    `missing_credentials`.
    """

    def __init__(
        self,
        server: str,
        *,
        key: str | None = None,
        ticket: Ticket | None = None,
        patience: Patience | None = None,
        silence: float = SILENCE_SECONDS,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        if key is None and ticket is None:
            raise ClientError("missing_credentials", "Give the client a key or a ticket.")
        if key is not None and not (key.isascii() and key.isprintable() and key and " " not in key):
            raise ClientError("invalid_key", "A key is made of printable ASCII characters without spaces.")
        if isinstance(ticket, str) and not ticket.isascii():
            raise ClientError("invalid_ticket", "A ticket is made of ASCII characters.")
        self._url = door(server)
        self._key = key
        self._ticket = ticket
        self._patience = patience or Patience()
        self._silence = silence
        self._now = now
        self._sleep = sleep
        self._jitter = jitter
        self._songs: set[Song] = set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Stops listening to every song of this client."""
        await asyncio.gather(*(song.close() for song in tuple(self._songs)))

    async def create(
        self,
        *,
        prompt: str | None = None,
        lyrics: str | None = None,
        model: str | None = None,
        mode: Literal["stream", "file"] = "stream",
        format: FormatChoice | None = "mp3",  # noqa: A002 - the field's name in the contract
        gender: str | None = None,
        is_instrumental: bool = False,
        enable_aigc_watermark: bool = False,
        framing: Framing = "framed",
        on_lag: OnLag = "complete",
        share: bool = False,
        abandon: str | None = None,
    ) -> Song:
        """Orders a song and listens to it from its start. Raises ClientError.

        An order is sent once: when the connection breaks before the gateway has answered, `connection_lost` is raised
        (`no_answer` when it stays silent), not marked as retryable, rather than a second song bought.
        """
        order = StreamCreate(
            ref="create",
            input=InputSpec(
                prompt=prompt,
                lyrics=lyrics,
                gender=gender,
                is_instrumental=is_instrumental,
                enable_aigc_watermark=enable_aigc_watermark,
            ),
            model=model,
            mode=mode,
            format=format,
            framing=framing,
            on_lag=on_lag,
            share=share,
            abandon=abandon,
        )
        ordered_at = self._now()
        connection = await self._first_connection()
        info = await _answered(connection, _order(connection, order))
        attach = StreamAttach(ref="attach", stream_id=info.id, format=format, framing=framing, on_lag=on_lag)
        return self._song(connection, attach, info, ordered_at)

    async def attach(
        self,
        stream_id: str,
        *,
        since: Literal["start", "live"] | float | Position = "start",
        format: FormatChoice | None = None,  # noqa: A002 - the field's name in the contract
        framing: Framing = "framed",
        on_lag: OnLag = "complete",
    ) -> Song:
        """Joins a song. Raises ClientError, `stream_not_found` among others.

        `since` is where to begin: its start, the live edge, so many seconds before that, or a `Song.position` to go on
        from. `on_lag` says what becomes of audio that was not taken in time: all of it, later, or the live edge.
        """
        attach = StreamAttach(
            ref="attach", stream_id=stream_id, since=_since(since), format=format, framing=framing, on_lag=on_lag
        )
        ordered_at = self._now()
        connection = await self._first_connection()
        song = self._song(connection, attach, None, ordered_at)
        try:
            await _answered(connection, song.confirm())
        except BaseException:
            await song.close()
            raise
        return song

    def _song(
        self, connection: Connection, attach: StreamAttach, info: events.StreamInfo | None, ordered_at: float
    ) -> Song:
        means = Means(self._connect, self._sleep, self._now, self._songs.discard)
        song = Song(connection, attach, info, means, BackOff(self._patience, self._jitter, self._now), ordered_at)
        self._songs.add(song)
        return song

    async def _connect(self) -> Connection:
        ticket = await self._ticket() if callable(self._ticket) else self._ticket
        return await open_connection(self._url, key=self._key, ticket=ticket, silence=self._silence)

    async def _first_connection(self) -> Connection:
        try:
            return await self._connect()
        except Ending as ending:
            raise ending.error() from ending


async def _order(connection: Connection, order: StreamCreate) -> events.StreamInfo:
    """Sends an order, once, and waits for the stream it became. Raises Ending."""
    await connection.say(order)
    while True:
        try:
            message = await connection.receive()
        except Ending as ending:
            if ending.move is Move.STOP:
                raise
            sentence = (
                "The connection broke before the gateway had answered; its list of streams tells what was ordered."
            )
            raise Ending(ABNORMAL, message=sentence, retryable=False) from ending
        if isinstance(message, events.StreamCreated):
            return message.stream
        if isinstance(message, events.Error):
            raise Ending.of_body(message.error)


async def _answered(connection: Connection, answer: Awaitable[_Answer]) -> _Answer:
    """The answer to a first wish; without one the connection is closed. Raises ClientError."""
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            return await answer
    except BaseException as error:
        await connection.close()
        if isinstance(error, Ending):
            raise error.error() from error
        if isinstance(error, TimeoutError):
            sentence = f"The gateway has not answered within {ANSWER_SECONDS:.0f} s."
            raise ClientError("no_answer", sentence) from None
        raise


def _since(since: str | float | Position) -> str | Since:
    if isinstance(since, Position):
        return Since(epoch=since.epoch, seq=since.seq)
    return since if isinstance(since, str) else Since(seconds_ago=since)
