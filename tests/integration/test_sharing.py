"""Songs that several buyers share, and songs that everybody has left, at the doors of a whole gateway.

Invariant under test: of those who order the same song to share it one pays, and each hears every byte of it; a song
that everybody has left ends as its order or its tenant says, and is charged for what came of it. The gateway's clock is
put forward where a grace must pass.
"""

import asyncio
import hashlib
import time
from functools import partial
from typing import Any

import pytest

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.relay.hub import Hub
from tests.support.gateway import KEY, OTHER_KEY, PATIENCE, Bench, bench, hear, receive, say, talk

SONG = "[[scale seconds=4 speed=16]] a scale that many want to hear"
LONG = "[[scale seconds=60 speed=4]] a scale that goes on for long"


async def order(gateway: Bench, prompt: str = SONG, *, key: str = KEY, **terms: Any) -> tuple[int, dict[str, Any]]:
    """Over REST: status and document."""
    body = {"input": {"prompt": prompt}, **terms}
    headers = {"Authorization": f"Bearer {key}"}
    async with gateway.http.post(f"{gateway.url}/v1/streams", json=body, headers=headers) as response:
        return response.status, await response.json()


async def over_http(gateway: Bench, **terms: Any) -> tuple[str, bytes]:
    """Orders a song and hears it: its id and its bytes."""
    status, stream = await order(gateway, **terms)
    assert status in (200, 201), stream
    async with gateway.http.get(stream["urls"]["audio"]) as response:
        return stream["id"], await response.read()


async def over_websocket(gateway: Bench, **terms: Any) -> tuple[str, bytes]:
    """Orders a song and hears it: its id and its bytes, which begin with the first and leave none out."""
    async with talk(gateway) as socket:
        await say(socket, type="stream.create", input={"prompt": SONG}, **terms)
        heard = await hear(socket)
    assert heard.seqs == list(range(len(heard.frames)))
    assert hashlib.sha256(heard.audio).hexdigest() == heard.named("stream.completed")["sha256"]
    return heard.named("stream.created")["stream"]["id"], heard.audio


async def frames_of(gateway: Bench) -> bytes:
    """The provider's own bytes, from the first codec frame on."""
    file = await gateway.original(SONG)
    return file[file.index(b"\xff\xfb") :]


# -- sharing -----------------------------------------------------------------------------------------------------------


async def test_two_who_share_a_song_pay_once_and_hear_all_of_it() -> None:
    """The second comes while it is made, and a third when it is whole: 201 for who bought it, 200 for the others."""
    async with bench() as gateway:
        status, stream = await order(gateway, share=True)
        assert status == 201
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            song = await response.content.readexactly(1)
            status, again = await order(gateway, share=True)
            assert (status, again["id"]) == (200, stream["id"])
            second, bytes_of_second = await over_websocket(gateway, share=True)
            song += await response.read()
        assert (second, bytes_of_second) == (stream["id"], song)
        assert await over_http(gateway, share=True) == (stream["id"], song)
        assert gateway.simulator.requests == 1
        assert gateway.simulator.charged_seconds == (await gateway.info(stream["id"]))["usage"]["audio_seconds"] == 4.0
        assert song == await frames_of(gateway)


async def test_of_twenty_at_once_one_pays() -> None:
    """Over REST and WebSocket, mixed: one generation, one stream, the same bytes for all from the first on."""
    async with bench() as gateway:
        doors = [over_http(gateway, share=True) if i % 2 else over_websocket(gateway, share=True) for i in range(20)]
        found = set(await asyncio.gather(*doors))
        assert len(found) == 1
        assert gateway.simulator.requests == 1
        assert found.pop()[1] == await frames_of(gateway)


async def test_what_is_not_shared_is_paid_for() -> None:
    """By another tenant, by who does not ask to share, for another song, and after one that was cancelled."""
    async with bench() as gateway:
        seen = []
        for terms in (
            {"share": True},
            {"share": True, "key": OTHER_KEY},
            {},
            {"share": False},
            {"share": True, "prompt": SONG + " too"},
            {"share": True, "mode": "file"},
        ):
            status, stream = await order(gateway, **terms)
            assert status == 201, terms
            seen.append(stream["id"])
            if terms.get("key") is None:
                async with gateway.http.delete(f"{gateway.url}/v1/streams/{stream['id']}") as response:
                    assert (await response.json())["status"] == "cancelled"
        status, stream = await order(gateway, share=True)
        assert status == 201
        assert len({*seen, stream["id"]}) == 7
        async with gateway.http.get(f"{gateway.url}/v1/streams") as response:
            assert seen[1] not in [one["id"] for one in (await response.json())["streams"]]


# -- leaving -----------------------------------------------------------------------------------------------------------


class Forward:
    """The machine's clock, which can be put forward."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.by


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Forward:
    """The clock of the hub of every gateway that the test starts."""
    clock = Forward()
    monkeypatch.setattr("gateway.app.Hub", partial(Hub, now=clock))
    return clock


def look(gateway: Bench) -> None:
    """What the hub does once a second."""
    for stream in gateway.gateway.hub.streams:
        stream.tick()


async def until(gateway: Bench, stream_id: str, **facts: Any) -> dict[str, Any]:
    """The stream's document as soon as it says so."""
    async with asyncio.timeout(PATIENCE):
        while True:
            info = await gateway.info(stream_id)
            if all(info[name] == value for name, value in facts.items()):
                return info


async def visit(gateway: Bench, stream_id: str) -> None:
    """Somebody hears a little of it over HTTP, and leaves by closing the connection."""
    async with gateway.http.get(f"{gateway.url}/v1/streams/{stream_id}/audio.mp3") as response:
        await response.content.readexactly(1000)
        assert (await gateway.info(stream_id))["listeners"] == 1
    await until(gateway, stream_id, listeners=0)


async def attend(gateway: Bench, stream_id: str) -> None:
    """Somebody hears a little of it over a WebSocket, and leaves by a message."""
    async with talk(gateway) as socket:
        await say(socket, type="stream.attach", stream_id=stream_id)
        while isinstance(await socket.recv(), str):
            pass
        await say(socket, type="stream.detach", stream_id=stream_id)
        while (await receive(socket))["type"] != "stream.detached":
            pass


async def test_what_everybody_has_left_is_cancelled_and_charged_for_what_came() -> None:
    """By the order, at either door, or by the tenant's configuration, which an order overrides; others go on."""
    tenants = [
        Tenant(id="acme", keys=[key_hash(KEY)], abandon="cancel"),
        Tenant(id="other", keys=[key_hash(OTHER_KEY)]),
    ]
    async with bench(tenants=tenants) as gateway:
        ids = [(await order(gateway, LONG, **terms))[1]["id"] for terms in ({}, {"abandon": "finish"}, {})]
        by_tenant, kept, unheard = ids
        theirs = (await order(gateway, LONG, key=OTHER_KEY, abandon="cancel"))[1]["urls"]["audio"]
        headers = {"Authorization": f"Bearer {OTHER_KEY}"}
        async with talk(gateway) as socket:
            await say(socket, type="stream.create", input={"prompt": LONG}, abandon="cancel")
            ordered = (await receive(socket))["stream"]["id"]
            while isinstance(await socket.recv(), str):
                pass
            async with gateway.http.get(theirs, headers=headers) as response:
                await response.content.readexactly(1000)
            await visit(gateway, by_tenant)
            await attend(gateway, kept)
        for stream_id in (by_tenant, ordered):
            info = await until(gateway, stream_id, status="cancelled")
            assert info["error"]["code"] == "cancelled"
            assert info["usage"] == {"audio_seconds": info["duration_seconds"], "settled": True}
            assert 0 < info["duration_seconds"] < 60
        async with asyncio.timeout(PATIENCE):
            while True:
                async with gateway.http.get(theirs.removesuffix("/audio.mp3"), headers=headers) as response:
                    if (await response.json())["status"] == "cancelled":
                        break
        for stream_id in (kept, unheard):
            assert (await gateway.info(stream_id))["status"] == "running"


@pytest.mark.parametrize("leave", [visit, attend])
async def test_a_grace_is_kept_and_begins_anew_with_whoever_comes_back(clock: Forward, leave: Any) -> None:
    """From the tenant's configuration: not before it is over, and not counting before the last one left."""
    async with bench(tenants=[Tenant(id="acme", keys=[key_hash(KEY)], abandon="3000s")]) as gateway:
        _, stream = await order(gateway, LONG)
        for _ in range(3):
            await leave(gateway, stream["id"])
            look(gateway)
            clock.by += 2900.0
            look(gateway)
            assert (await gateway.info(stream["id"]))["status"] == "running"
        clock.by += 100.0
        look(gateway)
        info = await until(gateway, stream["id"], status="cancelled")
        assert info["usage"]["settled"] is True
        assert 0 < info["usage"]["audio_seconds"] < 60
        async with gateway.http.get(stream["urls"]["audio"]) as response:
            assert len(await response.content.readexactly(1000)) == 1000


async def test_one_who_stays_is_enough_and_finish_needs_nobody(clock: Forward) -> None:
    """A song that somebody hears is never given up; one that is to be finished is, and costs what it costs."""
    async with bench() as gateway:
        _, finished = await order(gateway, SONG, abandon="finish")
        _, stayed = await order(gateway, LONG, abandon="cancel")
        await visit(gateway, finished["id"])
        async with gateway.http.get(stayed["urls"]["audio"]) as response:
            await response.content.readexactly(1)
            await attend(gateway, stayed["id"])
            for _ in range(2):
                clock.by += 3600.0
                look(gateway)
            info = await until(gateway, finished["id"], status="completed")
            assert info["usage"] == {"audio_seconds": 4.0, "settled": True}
            assert (await gateway.info(stayed["id"]))["status"] == "running"


async def test_a_shared_song_is_kept_as_its_most_patient_buyer_asked(clock: Forward) -> None:
    """The first would have it cancelled, the second waits an hour; whoever is asked nonsense says so."""
    async with bench() as gateway:
        _, stream = await order(gateway, LONG, share=True, abandon="cancel")
        assert (await order(gateway, LONG, share=True, abandon="3600s"))[0] == 200
        await visit(gateway, stream["id"])
        look(gateway)
        clock.by += 3500.0
        look(gateway)
        assert (await gateway.info(stream["id"]))["status"] == "running"
        clock.by += 100.0
        look(gateway)
        await until(gateway, stream["id"], status="cancelled")
        status, document = await order(gateway, SONG, abandon="soon")
        assert (status, document["error"]["param"]) == (400, "abandon")
        async with talk(gateway) as socket:
            await say(socket, type="stream.create", ref=1, input={"prompt": SONG}, abandon="-1s")
            refused = await receive(socket)
            assert (refused["ref"], refused["error"]["param"]) == (1, "abandon")
        assert gateway.simulator.requests == 1
