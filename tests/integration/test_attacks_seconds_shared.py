"""Attacks on what is shared: bytes that are not counted, processors for nothing, a provider that seems to fail.

Each test is a way that somebody tried who has read the source: a tenant with a small budget, or a guest with a ticket.
Invariant under test: no limit is passed, on no node, and no tenant takes what the others need.
"""

import asyncio
from collections.abc import Callable
from functools import partial

import pytest

from gateway.config.schema import Limits, Transcode, Upstream
from gateway.relay.stream import Stream
from tests.support.gateway import OTHER_KEY, bench
from tests.support.guests import anybody, http_code, mint
from tests.support.spender import order, ordered, row, sounding
from tests.support.union import answered, union

pytestmark = pytest.mark.asyncio(loop_factories=["uvloop"])

SPEECH = "cosyvoice-v3-flash"
SCALE = "[[scale seconds=2 speed=0]] a scale for whoever pays"


# -- the bytes of a day ------------------------------------------------------------------------------------------------


async def test_bytes_that_are_fetched_between_two_looks_end_the_day_too() -> None:
    """A whole song is fetched within milliseconds, and nobody is there when the ledger is looked at. Afterwards there
    are no small parts either, which need no listener, and no clips, which are files of their own.
    """
    async with bench(speed=0, limits=Limits(egress_bytes_per_day=50_000)) as gateway:
        stream = await ordered(gateway, input={"prompt": SCALE})
        await stream.wait()
        base = f"{gateway.url}/v1/streams/{stream.id}"
        assert await http_code(gateway.http, f"{base}/clip.wav?duration=1") == (200, "")
        assert await http_code(gateway.http, f"{base}/audio.mp3") == (200, "")
        # What it does once a second, of everything that runs.
        await gateway.gateway.hub._books.count()
        assert await http_code(gateway.http, f"{base}/audio.mp3") == (429, "quota_exceeded")
        piece = {"Range": "bytes=0-9999"}
        refused = (429, "quota_exceeded")
        assert await http_code(gateway.http, f"{base}/audio.mp3", headers=piece) == refused
        assert await http_code(gateway.http, f"{base}/clip.mp3?duration=1") == refused
        assert await http_code(gateway.http, f"{base}/hls/index.m3u8") == refused
        assert (await row(gateway))["egress_bytes"] >= 50_000


# -- the processors ----------------------------------------------------------------------------------------------------


async def test_no_tenant_takes_all_encoders() -> None:
    """By looks alone, of a guest whose ticket has no use left: each may ask for a format that nobody else has."""
    async with bench(speed=1.0, transcode=Transcode(workers=0, max_encodings=3)) as gateway, anybody() as http:
        room = gateway.gateway.hub._shares.room
        assert room is not None
        long = "[[scale seconds=60 speed=1]] a scale that goes on"
        stream = await ordered(gateway, input={"prompt": long})
        base = f"{gateway.url}/v1/streams/{stream.id}/audio.ogg"
        ticket = await mint(gateway, stream_id=stream.id, uses=1)
        assert await http_code(http, f"{gateway.url}/v1/streams/{stream.id}/clip.mp3?ticket={ticket}") in [
            (200, ""),
            (400, "invalid_input"),
        ]
        looks = [
            http_code(http, f"{base}?ticket={ticket}&bitrate={16000 + number}", headers={"Range": "bytes=0-1"})
            for number in range(room)
        ]
        answers = [status for status, _ in await asyncio.gather(*looks)]
        assert answers.count(206) == room - room // 5
        assert answers.count(503) == room // 5
        headers = {"Authorization": f"Bearer {OTHER_KEY}"}
        async with http.post(
            f"{gateway.url}/v1/streams", json={"input": {"prompt": long}}, headers=headers
        ) as response:
            neighbour = (await response.json())["urls"]["audio"].replace("mp3", "ogg")
        async with http.get(neighbour, headers=headers) as response:
            assert response.status == 200
            assert await response.content.readexactly(4) == b"OggS"


async def test_songs_without_sound_stop_nobody_else() -> None:
    """A text that comes to nothing is the provider's failure, and failures in a row are a pause for all: not these."""
    async with bench(speed=0, upstream=Upstream(retry_attempts=0, requests_per_minute=100_000)) as gateway:
        codes = []
        for _ in range(6):
            stream = await ordered(gateway, input={"prompt": "[[empty]] nothing that could be heard"})
            await stream.wait()
            assert stream.error is not None
            codes.append(stream.error.code)
        assert codes == ["upstream_empty"] * 5 + ["upstream_unavailable"]
        headers = {"Authorization": f"Bearer {OTHER_KEY}"}
        body = {"input": {"prompt": SCALE}}
        async with gateway.http.post(f"{gateway.url}/v1/streams", json=body, headers=headers) as response:
            neighbour = (await response.json())["urls"]["audio"]
        assert await http_code(gateway.http, neighbour, headers=headers) == (200, "")


# -- several nodes -----------------------------------------------------------------------------------------------------


@pytest.mark.nightly
async def test_two_nodes_give_no_more_than_one(need: Callable[[str], str]) -> None:
    """What a ticket may buy, the bytes of a day, and a file that is given up at the other node."""
    limits = Limits(concurrent_streams=0, streams_per_minute=0, egress_bytes_per_day=60_000)
    async with union(need("redis-server"), speed=0, limits=limits) as nodes, anybody() as http:
        there, here = nodes.nodes
        stream = await ordered(there, mode="file", input={"prompt": "[[scale seconds=120]] a scale", "format": "wav"})
        await sounding(stream)
        async with here.http.delete(f"{here.url}/v1/streams/{stream.id}") as response:
            assert (await response.json())["usage"] == {"audio_seconds": 120.0, "settled": True}

        ticket = await mint(there, allow=["create"], uses=0, max_audio_seconds=30)
        said = {"text": "[[scale seconds=20]] ok", "voice": "longanyang"}
        orders = [order(node, http, f"?ticket={ticket}", model=SPEECH, input=said) for node in nodes.nodes * 2]
        assert {status for status, _ in await asyncio.gather(*orders)} == {201}
        spoken = [
            stream for node in nodes.nodes for stream in node.gateway.hub.streams if stream.request.model == SPEECH
        ]
        made = [stream for stream in spoken if isinstance(stream, Stream)]
        for stream in made:
            await stream.wait()
        assert sum(stream.audio_seconds for stream in made) < 30.0 + 0.5 * len(made)

        song = await ordered(there, input={"prompt": SCALE})
        await song.wait()
        for node in nodes.nodes:
            path = f"{node.url}/v1/streams/{song.id}"
            fetched = partial(http_code, node.http, f"{path}/audio.mp3")
            # Each node looks once a second.
            assert await answered(fetched, lambda got: got[0] != 200) == (429, "quota_exceeded")
            assert await http_code(node.http, f"{path}/clip.mp3?duration=1") == (429, "quota_exceeded")
