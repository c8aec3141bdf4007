"""An order and its answer: said again on a new connection until there is one, and bought once.

Every order has an `idempotency_key`. When the connection breaks before the answer, nobody here can know whether a song
was bought; so the same order is said again under the same key, and the gateway answers with the song that it made.
Invariant: an order is repeated with the credentials of its first time only, because a ticket's keys are its own; when
patience ends, the error tells the key. It must not know what a song does with its connection.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from gateway.client.backoff import BackOff
from gateway.client.connection import Connection
from gateway.client.ending import ABNORMAL, Ending
from gateway.client.errors import ClientError
from gateway.client.wire import Frame, ServerMessage
from gateway.protocol import events
from gateway.protocol.messages import StreamCreate

# How long an order may stay unanswered on a connection that stands.
ANSWER_SECONDS = 30.0


class Placed(NamedTuple):
    """An order that was answered: its connection, its stream, and what else was said on the way."""

    connection: Connection
    info: events.StreamInfo
    told: list[ServerMessage | Frame]
    repeats: int


async def place(
    order: StreamCreate,
    connect: Callable[[], Awaitable[Connection]],
    backoff: BackOff,
    sleep: Callable[[float], Awaitable[None]],
) -> Placed:
    """Orders, as often as it takes. Raises ClientError: a refusal at once, the rest when patience ends."""
    repeats = -1
    while True:
        try:
            connection = await connect()
        except Ending as ending:
            if repeats < 0:  # nothing was ordered yet: whoever calls knows best whether to try again
                raise ending.error() from ending
            await sleep(_delay(backoff, ending, order))
            continue
        repeats += 1
        try:
            info, told = await _answer(connection, order)
        except BaseException as error:
            await connection.close()
            if not isinstance(error, Ending):
                raise
            await sleep(_delay(backoff, error, order))
        else:
            return Placed(connection, info, told, repeats)


async def _answer(connection: Connection, order: StreamCreate) -> tuple[events.StreamInfo, list[ServerMessage | Frame]]:
    """Says the order and waits for the stream it became. Raises ClientError for a refusal, Ending without an answer."""
    told: list[ServerMessage | Frame] = []
    goaway: float | None = None
    try:
        async with asyncio.timeout(ANSWER_SECONDS):
            await connection.say(order)
            while True:
                message = await connection.receive()
                if isinstance(message, events.StreamCreated):
                    return message.stream, told
                if isinstance(message, events.Error):
                    raise Ending.of_body(message.error).error()
                if isinstance(message, events.Goaway):
                    goaway = message.reconnect_after_ms / 1000
                told.append(message)
    except TimeoutError:
        sentence = f"The gateway has not answered within {ANSWER_SECONDS:.0f} s. {_doubt(order)}"
        raise ClientError("no_answer", sentence, retryable=True, close_code=ABNORMAL) from None
    except Ending as ending:
        ending.told_to_wait(goaway)
        raise


def _delay(backoff: BackOff, ending: Ending, order: StreamCreate) -> float:
    try:
        return backoff.delay(ending)
    except ClientError as error:
        raise error.adding(_doubt(order)) from ending


def _doubt(order: StreamCreate) -> str:
    return (
        "The song may have been ordered all the same: an order with"
        f" idempotency_key={order.idempotency_key!r} gets that song, and buys no second one."
    )
