"""Ordering and joining: what is sent, what comes back, and what is never sent twice.

Invariant under test: a refusal is raised by the call that was refused, and no song is bought twice.
The other side is a scripted gateway on a real socket.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.model import Position
from gateway.protocol import events


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


async def test_a_refused_order_raises_what_the_gateway_said(stand_in: Any) -> None:
    """Code, sentence, retry and time of the refusal reach the caller, and the connection is closed."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.refuse("concurrency_exceeded", retryable=True, after_ms=1500)

    async with stand_in.client() as client:
        error = await refused(client.create(prompt="rain"))
    assert (error.code, error.message) == ("concurrency_exceeded", "This is concurrency_exceeded.")
    assert (error.retryable, error.retry_after) == (True, 1.5)


@pytest.mark.parametrize("code", [None, 1011, 1012])
async def test_an_order_is_never_sent_twice(stand_in: Any, code: int | None) -> None:
    """A connection that breaks before the answer leaves it open whether a song was bought: nobody buys another."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.close(code) if code else talk.cut()

    async with stand_in.client() as client:
        error = await refused(client.create(prompt="rain"))
    assert (error.code, error.retryable) == ("connection_lost", False)
    assert len(stand_in.requests) == 1


async def test_a_close_instead_of_an_answer_is_the_answer(stand_in: Any) -> None:
    """A gateway that closes with a code has said why."""

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()
        await talk.close(4008, "quota_exceeded")

    async with stand_in.client() as client:
        assert (await refused(client.create(prompt="rain"))).code == "quota_exceeded"


async def test_an_unanswered_order_ends(stand_in: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer is an answer, after a while."""
    monkeypatch.setattr("gateway.client.client.ANSWER_SECONDS", 0.05)

    @stand_in.script
    async def _(talk: Any) -> None:
        await talk.hello()

    async with stand_in.client() as client:
        assert (await refused(client.create(prompt="rain"))).code == "no_answer"


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
        song = await client.attach("stream-1", since=since, format="wav", on_lag="live")
        assert song.info is None
    (attach,) = heard
    assert (attach["type"], attach["stream_id"], attach["since"]) == ("stream.attach", "stream-1", sent)
    assert (attach["format"], attach["on_lag"]) == ("wav", "live")


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


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({}, "missing_credentials"),
        ({"key": ""}, "invalid_key"),
        ({"key": "a b"}, "invalid_key"),
        ({"key": "a\r\nX-Evil: 1"}, "invalid_key"),
        ({"key": "schlüssel"}, "invalid_key"),
        ({"ticket": "wt_\udcff"}, "invalid_ticket"),
    ],
)
def test_credentials_are_looked_at_first(options: dict[str, str], code: str) -> None:
    """A client without credentials, or with a key that would break a header, is not made."""
    with pytest.raises(ClientError) as caught:
        Client("http://127.0.0.1:1", **options)
    assert caught.value.code == code
    assert "Evil" not in caught.value.message


def test_a_wrong_address_is_refused_before_anything_else() -> None:
    """The address is checked when the client is made."""
    with pytest.raises(ClientError) as caught:
        Client("localhost", key="k")
    assert caught.value.code == "invalid_server"
