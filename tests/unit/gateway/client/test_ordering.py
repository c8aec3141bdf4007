"""Orders whose connection breaks: said again under their key, with the same credentials, until there is an answer.

Invariant under test: every repeat is the same order, nothing is repeated that was refused, and an order that stays
unanswered tells the key with which nothing is bought twice. The other side is a scripted gateway on a real socket.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.client.backoff import Patience
from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.protocol import events


async def refused(client: Client, **options: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await client.create(prompt="rain", **options)
    return caught.value


def breaking(stand_in: Any, orders: list[Any], code: int | None = None, reason: str = "") -> None:
    """The next connection takes the order and ends without an answer."""

    @stand_in.script
    async def _(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.close(code, reason) if code else talk.cut()


@pytest.mark.parametrize(
    ("code", "reason", "slept"),
    [
        (None, "", [0.25]),
        (1011, "internal", [0.25]),
        (1012, "going_away;retry_after_ms=700", [0.7]),
        (1013, "overloaded;retry_after_ms=1000", [1.25]),
        (4203, "position_lost", [0.0]),
    ],
)
async def test_an_order_is_made_again_as_the_same_order(
    stand_in: Any, code: int | None, reason: str, slept: list[float]
) -> None:
    """A break before the answer is waited out as the contract says, and the order said again is the same, key too."""
    orders: list[Any] = []
    breaking(stand_in, orders, code, reason)

    @stand_in.script
    async def _(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created()
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed()

    song = await stand_in.order()
    assert await stand_in.hear(song) == stand_in.payloads
    assert orders[0] == orders[1]
    assert len(orders[0]["idempotency_key"]) == 36
    assert stand_in.slept == slept
    assert (song.statistics.reconnects, song.verified) == (1, True)


async def test_every_order_has_a_key_of_its_own_unless_it_is_given(stand_in: Any) -> None:
    """Two orders of the same song are two songs; a key that the caller gives is the caller's promise."""
    orders: list[Any] = []

    @stand_in.script
    async def first(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created()

    stand_in.script(first)
    stand_in.script(first)
    async with stand_in.client() as client:
        for key in (None, None, "mine"):
            await client.create(prompt="rain", idempotency_key=key)
    keys = [order["idempotency_key"] for order in orders]
    assert len(set(keys)) == 3
    assert keys[2] == "mine"


async def test_the_first_connection_is_the_callers_to_try_again(stand_in: Any) -> None:
    """Nothing was ordered yet, and a gateway that is not there at all is known at once."""
    stand_in.refusal(503, b"")
    async with stand_in.client() as client:
        error = await refused(client)
    assert (error.code, error.retryable, stand_in.slept) == ("refused", True, [])
    assert "idempotency_key" not in error.message


async def test_connections_that_fail_after_the_order_are_tried_again(stand_in: Any) -> None:
    """A gateway that restarts refuses for a while; the order is said to the one that is there then."""
    orders: list[Any] = []
    breaking(stand_in, orders)
    stand_in.refusal(502, b"")

    @stand_in.script
    async def _(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created()

    async with stand_in.client() as client:
        assert (await client.create(prompt="rain")).id == "stream-1"
    assert orders[0] == orders[1]
    assert stand_in.slept == [0.25, 0.5]


async def test_when_patience_ends_the_error_tells_the_key(stand_in: Any) -> None:
    """Whoever orders again with it buys nothing twice."""
    orders: list[Any] = []
    for _ in range(3):
        breaking(stand_in, orders)
    async with stand_in.client(patience=Patience(attempts=2)) as client:
        error = await refused(client)
    assert (error.code, error.retryable, error.close_code, len(orders)) == ("connection_lost", True, 1006, 3)
    assert f"idempotency_key={orders[0]['idempotency_key']!r}" in error.message
    assert "Tried 2 times" in error.message


async def test_a_ticket_that_is_used_up_by_the_first_time_says_so_with_the_key(stand_in: Any) -> None:
    """A ticket function is asked once for an order: under another ticket it would be another order."""
    orders: list[Any] = []
    asked = []
    breaking(stand_in, orders)
    body = {"error": {"code": "ticket_used", "message": "This ticket has been used.", "retryable": False}}
    stand_in.refusal(401, json.dumps(body).encode())

    async def ticket() -> str:
        asked.append("wt")
        return "wt"

    async with stand_in.client(key=None, ticket=ticket) as client:
        error = await refused(client)
    assert (error.code, error.retryable, error.close_code) == ("ticket_used", False, 4005)
    assert orders[0]["idempotency_key"] in error.message
    assert len(asked) == 1


async def test_an_unanswered_order_ends(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is an answer, after a while, and the connection is closed."""
    monkeypatch.setattr("gateway.client.ordering.ANSWER_SECONDS", 0.05)
    closed = asyncio.Event()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.socket.wait_closed()
        closed.set()

    async with stand_in.client() as client:
        error = await refused(client, idempotency_key="mine")
    assert (error.code, error.retryable) == ("no_answer", True)
    assert "idempotency_key='mine'" in error.message
    async with asyncio.timeout(5.0):
        await closed.wait()


async def test_a_goodbye_before_the_break_says_when_to_come_back(stand_in: Any) -> None:
    """`session.goaway` holds where the end itself gives no time."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.say(events.Goaway(1000, 400))
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()

    async with stand_in.client() as client:
        await client.create(prompt="rain")
    assert stand_in.slept == [0.65]


async def test_a_wrong_field_is_named(stand_in: Any) -> None:
    """A refusal is the gateway's own, with the field, and is not repeated."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.say(events.Error(events.ErrorBody("invalid_input", "Too short.", False, None, "input.prompt")))

    async with stand_in.client() as client:
        error = await refused(client)
    assert (error.code, error.param, error.close_code, stand_in.slept) == ("invalid_input", "input.prompt", 1008, [])
