"""Two and three nodes on one Redis, as their clients see them: it makes no difference which of them one asks.

Invariant under test: a song is bought once and encoded once for each format, and is the same bytes under the same
numbers on every node; money, tickets, keys and slots are counted once. It looks at answers and bytes only.
"""

import asyncio
import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Callable
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from gateway.config.schema import Limits
from gateway.redis.connection import Redis
from tests.support.gateway import OTHER_KEY, PATIENCE, Bench, hear, receive, say, talk
from tests.support.union import Union, answered, union

SONG = "[[scale seconds=3 speed=1.5]] a scale for two nodes"
SHORT = "[[scale seconds=1 speed=0]] a scale that is whole at once"
FORMATS = ("mp3", "wav", "pcm", "ogg", "webm", "aac", "mp4", "flac")
FREE = Limits(concurrent_streams=0, streams_per_minute=0, listeners=0)
ROOM = 10


@pytest_asyncio.fixture
async def two(need: Callable[[str], str]) -> AsyncIterator[Union]:
    async with union(need("redis-server"), limits=FREE) as nodes:
        yield nodes


async def heard(node: Bench, stream_id: str, form: str) -> str:
    """The hash of the whole body."""
    async with node.http.get(f"{node.url}/v1/streams/{stream_id}/audio.{form}") as response:
        assert response.status == 200, await response.text()
        return hashlib.sha256(await response.read()).hexdigest()


async def test_all_formats_are_the_same_on_all_nodes_and_made_once(need: Callable[[str], str]) -> None:
    """While it is made, and for who comes when it is whole."""
    async with union(need("redis-server"), 3, limits=FREE) as nodes:
        first = nodes.nodes[0]
        stream = await first.create(SONG)
        pairs = [(form, node) for form in FORMATS for node in nodes.nodes]
        live = await asyncio.gather(*[heard(node, stream["id"], form) for form, node in pairs])
        for index, form in enumerate(FORMATS):
            assert len(set(live[3 * index : 3 * index + 3])) == 1, form
        late = await asyncio.gather(*[heard(node, stream["id"], form) for form, node in pairs])
        assert late == live
        encoders = [node.gateway.hub.get("acme", stream["id"]).renditions for node in nodes.nodes]  # type: ignore[arg-type]  # a name for an id
        assert [len(renditions._tracks) for renditions in encoders] == [4, 0, 0], "opus, aac, flac and pcm"


async def test_a_song_is_resumed_on_another_node_where_it_was_left(two: Union) -> None:
    """The epoch and the numbers mean the same there, and the hash of both halves is the song's."""
    there, here = two.nodes
    stream = await there.create(SONG)
    async with talk(there) as socket:
        await say(socket, type="stream.attach", stream_id=stream["id"], format="ogg")
        before = await hear(socket, until=("stream.metadata",))
        while len(before.frames) < 3:
            more = await hear(socket, until=("stream.metadata", "stream.completed"))
            before.frames += more.frames
            before.init = before.init or more.init
            before.messages += more.messages
    started = before.named("stream.started")
    async with talk(here) as socket:
        since = {"epoch": started["epoch"], "seq": before.seqs[-1] + 1}
        await say(socket, type="stream.attach", stream_id=stream["id"], format="ogg", since=since)
        after = await hear(socket)
    again = after.named("stream.started")
    assert (again["epoch"], again["rendition"], again["recovered"]) == (started["epoch"], started["rendition"], True)
    assert before.seqs + after.seqs == list(range(len(before.seqs) + len(after.seqs)))
    whole = before.init + b"".join(payload for _, payload in [*before.frames, *after.frames])
    assert hashlib.sha256(whole).hexdigest() == after.named("stream.completed")["sha256"]


async def document(node: Bench, path: str, **options: Any) -> tuple[int, Any]:
    async with node.http.get(f"{node.url}{path}", **options) as response:
        return response.status, await response.json()


async def test_rest_answers_the_same_everywhere(two: Union) -> None:
    """The stream, the list, the ledger, the parts of a file, its clip and its playlist."""
    there, here = two.nodes
    stream = await there.create(SHORT)
    path = f"/v1/streams/{stream['id']}"
    await answered(lambda: document(there, path), lambda got: got[1]["usage"]["settled"])
    for address in (path, "/v1/streams", "/v1/usage"):
        answers = [await document(node, address) for node in two.nodes]
        for status, body in answers:
            assert status == 200
            for one in body.get("streams", [body]):
                # The address is the node's own, and the moment that of the question; the rest is the same.
                one.pop("urls", None)
                one.pop("to", None)
        assert answers[0] == answers[1], address
    parts = []
    for node in two.nodes:
        headers = {"Range": "bytes=1000-2999"}
        async with node.http.get(f"{node.url}{path}/audio.mp3", headers=headers) as response:
            assert response.status == 206
            parts.append((await response.read(), response.headers["Content-Range"], response.headers["ETag"]))
        async with node.http.head(f"{node.url}{path}/audio.mp3") as response:
            parts[-1] += (response.headers["Content-Length"], response.headers["ETag"])
        async with node.http.get(f"{node.url}{path}/clip.wav?start=0.2&duration=0.5") as response:
            assert response.status == 200
            parts[-1] += (await response.read(),)
        async with node.http.get(f"{node.url}{path}/hls/index.m3u8") as response:
            assert response.status == 200
            parts[-1] += (await response.text(),)
    assert parts[0] == parts[1]
    stranger = {"Authorization": f"Bearer {OTHER_KEY}"}
    for node in two.nodes:
        assert (await document(node, path, headers=stranger))[0] == 404
        assert (await document(node, "/v1/streams/st_0"))[0] == 404
    nothing = {"streams": [], "has_more": False, "next": None}
    assert await document(here, "/v1/streams", headers=stranger) == (200, nothing)


async def test_a_song_is_cancelled_from_any_node(two: Union) -> None:
    """By REST and over a WebSocket; who hears it anywhere is told."""
    there, here = two.nodes
    for door in ("rest", "websocket"):
        stream = await there.create(SONG + door)
        async with talk(there) as socket, talk(here) as other:
            for one in (socket, other):
                await say(one, type="stream.attach", stream_id=stream["id"])
                while (await receive(one))["type"] != "stream.started":
                    pass
            if door == "rest":
                async with here.http.delete(f"{here.url}/v1/streams/{stream['id']}") as response:
                    info = await response.json()
                assert (info["status"], info["usage"]["settled"]) == ("cancelled", True)
            else:
                await say(other, type="stream.cancel", stream_id=stream["id"])
            for one in (socket, other):
                assert (await hear(one)).named("stream.failed")["error"]["code"] == "cancelled"
    totals = (await document(here, "/v1/usage"))[1]["totals"]
    assert totals["reserved"] == totals["settled"] + totals["refunded"]


async def test_of_a_hundred_starts_on_two_nodes_as_many_start_as_there_is_room_for(
    need: Callable[[str], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """And what was refused says when to come again."""
    # A busy machine may stand still for longer than a gateway waits for Redis, and that is not asked here.
    monkeypatch.setitem(Redis.__init__.__kwdefaults__ or {}, "timeout", PATIENCE)
    limits = Limits(concurrent_streams=ROOM, streams_per_minute=0)
    async with union(need("redis-server"), limits=limits) as nodes:

        async def start(number: int) -> int:
            node = nodes.nodes[number % 2]
            body = {"input": {"prompt": f"{SONG} {number}"}}
            async with node.http.post(f"{node.url}/v1/streams", json=body) as response:
                assert response.status == 201 or response.headers["Retry-After"]
                return response.status

        assert Counter(await asyncio.gather(*map(start, range(100)))) == {201: ROOM, 429: 100 - ROOM}


async def test_what_may_be_done_once_is_done_once_on_all_nodes(two: Union) -> None:
    """A ticket's only use, an order under one key, and a song that is ordered to be shared."""
    async with two.http.post(f"{two.nodes[0].url}/v1/tickets", json={"allow": ["create"]}) as response:
        ticket = (await response.json())["ticket"]

    async def post(number: int, prompt: str, headers: dict[str, str], **body: Any) -> tuple[int, str]:
        node = two.nodes[number % 2]
        order = {"input": {"prompt": prompt}, **body}
        async with (
            aiohttp.ClientSession() as guest,
            guest.post(f"{node.url}/v1/streams", json=order, headers=headers) as response,
        ):
            document = await response.json()
            return response.status, document.get("id", "")

    guest = {"Authorization": f"Bearer {ticket}"}
    spent = await asyncio.gather(*[post(number, f"{SHORT} {number}", guest) for number in range(10)])
    assert Counter(status for status, _ in spent) == {201: 1, 401: 9}
    key = dict(two.http.headers)
    named = key | {"Idempotency-Key": "once"}
    again = await asyncio.gather(*[post(number, SONG, named) for number in range(10)])
    assert Counter(status for status, _ in again) == {201: 1, 200: 9}
    assert len({stream_id for _, stream_id in again}) == 1
    shared = await asyncio.gather(*[post(number, f"{SONG} shared", key, share=True) for number in range(10)])
    assert Counter(status for status, _ in shared) == {201: 1, 200: 9}
    assert len({stream_id for _, stream_id in shared}) == 1
    assert (await document(two.nodes[1], "/v1/usage"))[1]["totals"]["generations"] == 3


async def test_a_node_that_drains_leaves_nobody_behind(two: Union) -> None:
    """Its listeners resume elsewhere while it sings on; what it kept is kept by another."""
    leaving, staying = two.nodes
    old = await leaving.create(SHORT)
    kept = await heard(leaving, old["id"], "mp3")
    stream = await leaving.create(SONG)
    async with talk(leaving) as socket:
        await say(socket, type="stream.attach", stream_id=stream["id"])
        before = await hear(socket, until=("stream.started",))
        more = await hear(socket, until=("stream.metadata",))
        draining = asyncio.create_task(leaving.gateway.drain())
        last = await hear(socket, until=("session.goaway",))
        frames = [*before.frames, *more.frames, *last.frames]
    started = before.named("stream.started")
    seqs = [header.seq for header, _ in frames]
    async with talk(staying) as socket:
        since = {"epoch": started["epoch"], "seq": seqs[-1] + 1 if seqs else 0}
        await say(socket, type="stream.attach", stream_id=stream["id"], since=since)
        after = await hear(socket)
    whole = b"".join(payload for _, payload in [*frames, *after.frames])
    assert hashlib.sha256(whole).hexdigest() == after.named("stream.completed")["sha256"]
    await draining
    await two.leave(leaving)
    assert await heard(staying, old["id"], "mp3") == kept
    assert await heard(staying, old["id"], "ogg"), "another format of it is made there now"
    assert hashlib.sha256(whole).hexdigest() == await heard(staying, stream["id"], "mp3")
