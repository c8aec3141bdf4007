"""Ordering and joining: what is sent and what comes back.

Invariant under test: a refusal is raised by the call that was refused. The other side is a scripted gateway on a real
socket. What becomes of an order whose connection breaks stands in test_ordering.py.
"""

import asyncio
import json
from inspect import signature
from typing import Any

import pytest
from msgspec.structs import fields

from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.client.event import Interruption
from gateway.model import Position
from gateway.protocol import events
from gateway.protocol.messages import InputSpec


async def refused(awaitable: Any) -> ClientError:
    with pytest.raises(ClientError) as caught:
        await awaitable
    return caught.value


async def test_an_order_says_what_to_sing_and_how_to_send_it(stand_in: Any) -> None:
    """Every wish of the caller stands in the one message that is sent, and the answer is the song's info."""
    orders = []

    @stand_in.script
    async def _(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created(warnings=["Careful."])

    async with stand_in.client() as client:
        song = await client.create(prompt="rain", lyrics="la", model="fun-music-v1", gender="female", abandon="cancel")
        assert (song.id, song.title, song.info.warnings) == ("stream-1", "Rain", ["Careful."])
    (order,) = orders
    assert order["type"] == "stream.create"
    assert order["input"]["prompt"] == "rain"
    assert order["input"]["lyrics"] == "la"
    assert order["input"]["gender"] == "female"
    wishes = {name: order[name] for name in ("model", "mode", "format", "framing", "since", "on_lag", "abandon")}
    assert wishes == {
        "model": "fun-music-v1",
        "mode": "stream",
        "format": "mp3",
        "framing": "framed",
        "since": "start",
        "on_lag": "complete",
        "abandon": "cancel",
    }


async def test_a_text_is_ordered_with_its_voice(stand_in: Any) -> None:
    """Every field of speech reaches the gateway under the provider's name, and nothing of songs."""
    orders = []

    @stand_in.script
    async def _(talk: Any) -> None:
        orders.append(await talk.hello())
        await talk.created()

    said: dict[str, Any] = {
        "voice": "longanyang",
        "sample_rate": 24000,
        "volume": 60,
        "rate": 1.2,
        "pitch": 0.9,
        "seed": 4,
        "instruction": "gently",
        "instructions": "very gently",
        "optimize_instructions": True,
        "language_type": "English",
        "language_hints": ("en",),
        "enable_ssml": True,
    }
    async with stand_in.client() as client:
        await client.speak("The gates open.", model="cosyvoice-v3-flash", input_format="wav", share=True, **said)
    (order,) = orders
    assert (order["model"], order["share"], order["format"]) == ("cosyvoice-v3-flash", True, "mp3")
    told = {name: value for name, value in order["input"].items() if value}
    assert told == said | {"text": "The gates open.", "format": "wav", "language_hints": ["en"]}


def test_every_field_of_the_contract_can_be_given() -> None:
    """What an input may hold is a parameter of `create` or of `speak`, and so is what an order may hold beside it."""
    wishes = set(signature(Client.create).parameters) & set(signature(Client.speak).parameters)
    inputs = (set(signature(Client.create).parameters) | set(signature(Client.speak).parameters)) - {"self"}
    assert {"format", "framing", "on_lag", "share", "abandon", "mode", "model", "idempotency_key"} <= wishes
    assert {field.name for field in fields(InputSpec)} - {"format"} <= inputs
    assert "input_format" in wishes


async def test_a_refused_order_raises_what_the_gateway_said(stand_in: Any) -> None:
    """Code, sentence, retry and time of the refusal reach the caller, and the connection is closed."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.refuse("concurrency_exceeded", retryable=True, after_ms=1500)

    async with stand_in.client() as client:
        error = await refused(client.create(prompt="rain"))
    assert (error.code, error.message) == ("concurrency_exceeded", "This is concurrency_exceeded.")
    assert (error.retryable, error.retry_after, error.close_code) == (True, 1.5, 4100)


async def test_a_close_instead_of_an_answer_is_the_answer(stand_in: Any) -> None:
    """A gateway that closes with a code has said why."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.close(4008, "quota_exceeded")

    async with stand_in.client() as client:
        assert (await refused(client.create(prompt="rain"))).code == "quota_exceeded"


async def test_news_before_the_answer_is_not_the_answer(stand_in: Any) -> None:
    """An order waits for its own answer, whatever else the gateway has to say."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.say(events.Goaway(1000, 100))
        await talk.created()

    async with stand_in.client() as client:
        assert (await client.create(prompt="rain")).id == "stream-1"


async def test_an_order_that_is_cancelled_leaves_no_connection(stand_in: Any) -> None:
    """Whoever stops waiting for the answer stops listening."""
    ordered, closed = asyncio.Event(), asyncio.Event()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        ordered.set()
        await talk.socket.wait_closed()
        closed.set()

    async with stand_in.client() as client, asyncio.timeout(5.0):
        ordering = asyncio.ensure_future(client.create(prompt="rain"))
        await ordered.wait()
        ordering.cancel()
        await asyncio.wait([ordering])
        assert ordering.cancelled()
        await closed.wait()


async def test_a_refused_handshake_is_its_error(stand_in: Any) -> None:
    """A wrong key is known before anything is asked."""
    body = {"error": {"code": "bad_credentials", "message": "No.", "retryable": False}}
    stand_in.refusal(401, json.dumps(body).encode())
    async with stand_in.client() as client:
        assert (await refused(client.create(prompt="rain"))).code == "bad_credentials"


@pytest.mark.parametrize(
    ("since", "sent"),
    [
        ("start", "start"),
        ("live", "live"),
        (12.5, {"seconds_ago": 12.5, "epoch": None, "seq": None}),
        (Position(7, 40), {"seconds_ago": None, "epoch": 7, "seq": 40}),
    ],
)
async def test_joining_says_where_to_begin(stand_in: Any, since: Any, sent: Any) -> None:
    """Each way to say where to begin reaches the gateway in its own form."""
    heard = []

    @stand_in.script
    async def _(talk: Any) -> None:
        heard.append(await talk.hello())
        await talk.started(4)

    async with stand_in.client() as client:
        song = await client.attach("stream-1", since=since, format=("wav", "mp3"), on_lag="live")
        assert song.info is None
    (attach,) = heard
    assert (attach["type"], attach["stream_id"], attach["since"]) == ("stream.attach", "stream-1", sent)
    assert (attach["format"], attach["on_lag"]) == (["wav", "mp3"], "live")


async def test_joining_a_song_that_has_not_begun_does_not_wait_for_it(stand_in: Any) -> None:
    """The answer to a ping shows that the gateway has taken the wish, although it says nothing more yet."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        assert (await talk.hear())["type"] == "ping"
        await talk.socket.send('{"type": "pong", "t": null, "server_time": 0}')

    async with stand_in.client() as client, asyncio.timeout(5.0):
        song = await client.attach("stream-1")
        assert song.state == "waiting"


async def test_joining_what_does_not_exist_fails_at_once(stand_in: Any) -> None:
    """The error comes from `attach`, not from the first frame."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.refuse("stream_not_found")

    async with stand_in.client() as client:
        assert (await refused(client.attach("nothing"))).code == "stream_not_found"


async def test_joining_outlives_a_connection_that_breaks(stand_in: Any) -> None:
    """A cut before the answer is healed as one in the song is, and told among the events."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        talk.cut()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        assert (await talk.hear())["type"] == "ping"
        await talk.started()
        await talk.frames(*range(10))
        await talk.completed()

    async with stand_in.client() as client:
        song = await client.attach("stream-1", since=1.5)
        assert isinstance(await anext(song.events()), Interruption)
        assert await stand_in.hear(song) == stand_in.payloads
        assert (song.statistics.reconnects, stand_in.slept) == (1, [0.25])


async def test_joining_that_is_not_answered_ends(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is an answer, after a while."""
    monkeypatch.setattr("gateway.client.client.ANSWER_SECONDS", 0.05)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()

    async with stand_in.client() as client:
        error = await refused(client.attach("stream-1"))
    assert (error.code, error.retryable) == ("no_answer", True)


async def test_joining_where_nobody_answers_fails_at_once(stand_in: Any) -> None:
    """The first connection is the caller's to try again."""
    stand_in.refusal(503, b"")
    async with stand_in.client() as client:
        error = await refused(client.attach("stream-1"))
    assert (error.code, error.retryable, stand_in.slept) == ("refused", True, [])


@pytest.mark.parametrize("renewable", [True, False])
async def test_credentials_that_expired_are_only_tried_again_if_they_are_new(stand_in: Any, renewable: bool) -> None:
    """4201 means at once, with another ticket; whoever has no other is told."""
    body = {"error": {"code": "credentials_expired", "message": "Expired.", "retryable": False}}
    tickets = iter(["one", "two"])

    async def ticket() -> str:
        return next(tickets)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.started()
        await talk.frames(0)
        talk.cut()

    stand_in.refusal(401, json.dumps(body).encode())
    if renewable:
        tickets = iter(["one", "two", "three"])

        @stand_in.script
        async def _(talk: Any) -> None:
            await talk.hello()
            await talk.started(1)
            await talk.frames(*range(1, 10))
            await talk.completed()

    async with stand_in.client(key=None, ticket=ticket if renewable else "one") as client:
        song = await client.attach("stream-1")
        if renewable:
            assert await stand_in.hear(song) == stand_in.payloads
            offered = [request.headers["Sec-WebSocket-Protocol"][-4:] for request in stand_in.requests]
            assert len(set(offered)) == 3
        else:
            error = await stand_in.failure(song)
            assert (error.code, error.close_code, len(stand_in.requests)) == ("credentials_expired", 4201, 2)


async def test_a_ticket_function_is_asked_for_every_connection(stand_in: Any) -> None:
    """A ticket that can be used once is not used twice."""
    tickets = iter(["one", "two"])

    async def ticket() -> str:
        return next(tickets)

    for _ in range(2):

        @stand_in.script
        async def _(talk: Any) -> None:
            await talk.hello()
            await talk.started()

    async with stand_in.client(key=None, ticket=ticket) as client:
        await client.attach("stream-1")
        await client.attach("stream-1")
    offered = [request.headers["Sec-WebSocket-Protocol"] for request in stand_in.requests]
    assert offered == ["wavegate.v1, wavegate.ticket.b25l", "wavegate.v1, wavegate.ticket.dHdv"]


async def test_a_client_closes_what_it_opened(stand_in: Any) -> None:
    """When the client's block ends, its songs have ended and their connections are closed."""
    closed = asyncio.Event()

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.created()
        await talk.socket.wait_closed()
        closed.set()

    async with stand_in.client() as client:
        song = await client.create(prompt="rain")
    async with asyncio.timeout(5.0):
        await closed.wait()
    assert song.state == "ended"


def test_a_wrong_address_is_refused_before_anything_else() -> None:
    """The address is checked when the client is made."""
    with pytest.raises(ClientError) as caught:
        Client("localhost", key="k")
    assert caught.value.code == "invalid_server"
