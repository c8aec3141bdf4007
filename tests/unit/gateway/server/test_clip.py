"""The clip door without those who cut: what is asked for becomes an edit, what exists of the song goes along.

Invariant under test: whatever a stranger asks for is a clip or an error that names the field.
It must not know how clips are cut.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp
import pytest
from aiohttp import web

from gateway.config.schema import Config, Relay
from gateway.errors import ServiceError, UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from gateway.relay.order import Order
from gateway.relay.stream import Stream
from gateway.server.clip import ClipDoor
from tests.support.relay import BUYER, TENANT, ScriptedSource, mp3_frames, song, wav, within
from tests.support.scissors import Scissors
from tests.support.server import served, services, soon
from transcode.edit import Edit
from transcode.spec import Wish

SONG = b"".join(mp3_frames(40))
WHOLE: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(SONG), Finished(1.0))


@dataclass
class Place:
    """A song behind the door, and a client of its tenant."""

    http: aiohttp.ClientSession
    scissors: Scissors
    path: str
    stream: Stream

    async def get(self, query: str) -> tuple[int, dict[str, str], bytes]:
        async with self.http.get(self.path + query) as response:
            return response.status, dict(response.headers), await response.read()

    async def error(self, query: str) -> tuple[int, str, str | None]:
        async with self.http.get(self.path + query) as response:
            error = (await response.json())["error"]
            return response.status, error["code"], error["param"]


@asynccontextmanager
async def place(
    *steps: SourceEvent | Exception | asyncio.Event,
    form: str = "mp3",
    refusal: ServiceError | None = None,
    places: int = 2,
    most: int | None = None,
) -> AsyncIterator[Place]:
    """`most` is how many bytes of the song are kept."""
    config = Config() if most is None else Config(relay=Relay(max_stream_bytes=most))
    async with services(ScriptedSource(*steps), config=config) as room:
        scissors = Scissors(refusal)
        door = ClipDoor(scissors, places)

        async def handle(request: web.Request) -> web.StreamResponse:
            return await door.handle(request, await room.hub.find(TENANT, request.match_info["id"]))

        stream = await room.hub.create(Order(BUYER, song(form=form)))
        route = web.get("/v1/streams/{id}/clip.{ext}", handle)
        if asyncio.Event not in map(type, steps):
            await within(stream.wait())
        elif steps[0] is not steps[-1]:
            await soon(lambda: stream.native.end > 0)
        async with served(route) as port, aiohttp.ClientSession(f"http://127.0.0.1:{port}") as http:
            yield Place(http, scissors, f"/v1/streams/{stream.id}/", stream)


async def test_a_clip_is_a_file_of_its_own() -> None:
    """With its type, its name and its length; the whole song goes along, and no wish is the whole of it."""
    async with place(*WHOLE) as there:
        status, headers, body = await there.get("clip.flac")
        assert (status, body) == (200, b"a clip of 16680")
        assert headers["Content-Type"] == "audio/flac"
        assert headers["Content-Length"] == str(len(body))
        assert headers["Content-Disposition"].endswith('.flac"')
        assert there.scissors.orders == [(SONG, Edit(), "flac", Wish())]


async def test_what_is_asked_for_is_the_edit() -> None:
    """Times, loudness and the format's own numbers."""
    async with place(*WHOLE) as there:
        query = "start=1.5&duration=2&fade_in=0.25&fade_out=.5&normalize=-14&rate=24000&channels=1"
        assert (await there.error(f"clip.ogg?{query}"))[2] == "fade_out"
        await there.get(f"clip.ogg?{query.replace('=.5', '=0.5')}&loop_crossfade=0.125")
        (order,) = there.scissors.orders
        assert order[1:] == (Edit(1.5, 2.0, 0.25, 0.5, -14.0, 0.125), "ogg", Wish(24000, 1))


@pytest.mark.parametrize(
    ("text", "meant"),
    [("true", True), ("1", True), ("", True), ("TRUE", True), ("false", False), ("0", False), ("-20.5", -20.5)],
)
async def test_normalize_is_a_switch_or_a_loudness(text: str, meant: bool | float) -> None:
    async with place(*WHOLE) as there:
        await there.get(f"clip.wav?normalize={text}")
        assert there.scissors.orders[0][1].normalize is meant or there.scissors.orders[0][1].normalize == meant


async def test_the_header_of_a_wav_goes_along() -> None:
    """Samples mean nothing without it."""
    file = wav(4800)
    async with place(Accepted("r"), AudioDelta(file), Finished(0.2), form="wav") as there:
        await there.get("clip.mp3")
        assert there.scissors.orders[0][0] == file


async def test_a_song_in_the_making_is_cut_as_far_as_it_is() -> None:
    """What has come, not what will."""
    async with place(Accepted("r"), AudioDelta(SONG), asyncio.Event()) as there:
        assert (await there.get("clip.mp3"))[0] == 200
        (order,) = there.scissors.orders
        assert 0 < len(order[0]) < len(SONG)
        assert SONG.startswith(order[0])


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    ("query", "numbers"), [("", (24000, 1)), ("?rate=8000", (8000, 1)), ("?rate=11000&channels=2", (11000, 2))]
)
async def test_bare_samples_say_what_they_are(method: str, query: str, numbers: tuple[int, int]) -> None:
    """In the type of the answer, and that is what is cut."""
    async with place(Accepted("r"), AudioDelta(wav(4800)), Finished(0.2), form="wav") as there:
        async with there.http.request(method, f"{there.path}clip.pcm{query}") as response:
            assert response.headers["Content-Type"] == "audio/L16;rate={};channels={}".format(*numbers)
        assert [order[3] for order in there.scissors.orders] == [Wish(*numbers)] * (method == "GET")


async def test_seconds_are_those_of_the_song_when_its_beginning_is_gone() -> None:
    """What is asked for is found in what is kept; what is not kept is refused, with what is."""
    file = wav(48000)  # two seconds
    async with place(Accepted("r"), AudioDelta(file), Finished(2.0), form="wav", most=48000) as there:
        native = there.stream.native
        begin = native.seconds(native.pts(native.first))
        assert 0.9 < begin < 1.9
        assert (await there.get("clip.mp3?start=1.95&duration=0.04"))[0] == 200
        ((song, edit, _, _),) = there.scissors.orders
        # As samples of what went along: those that stand 1.95 s after the song's beginning.
        first = round(edit.start * 24000) * 2
        assert song[44 + first :] == file[44 + round(1.95 * 24000) * 2 :]
        for query in ("", "?start=0", f"?start={begin - 0.001:.3f}", "?start=2"):
            assert await there.error(f"clip.mp3{query}") == (400, "invalid_input", "start")
            async with there.http.head(f"{there.path}clip.mp3{query}") as response:
                assert response.status == 400
        async with there.http.get(f"{there.path}clip.mp3?start=0.5") as response:
            sentence = (await response.json())["error"]["message"]
        assert sentence == f"A clip cannot start at 0.5 s: of this song only {begin:.3f} s to 2.000 s are kept."
        assert (await there.get(f"clip.mp3?start={begin:.3f}"))[0] == 200


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("clip.midi", (422, "unsupported_format", "format")),
        ("clip.ogg?rate=44100", (422, "unsupported_format", "format.sample_rate")),
        ("clip.mp3?start=now", (400, "invalid_request", "start")),
        ("clip.mp3?normalize=loud", (400, "invalid_request", "normalize")),
    ],
)
async def test_what_cannot_be_is_refused_by_name(query: str, found: tuple[int, str, str]) -> None:
    """Before anybody is set to work."""
    async with place(*WHOLE) as there:
        assert await there.error(query) == found
        assert there.scissors.orders == []


async def test_before_the_first_sound_there_is_nothing_to_cut() -> None:
    """And of a song that failed before it, the reason is told."""
    async with place(asyncio.Event()) as there:
        assert await there.error("clip.mp3") == (400, "invalid_input", "start")
    async with place(UpstreamError("upstream_timeout", "The provider took too long.")) as there:
        assert await there.error("clip.mp3") == (504, "upstream_timeout", None)


async def test_what_those_who_cut_refuse_is_the_answer() -> None:
    async with place(*WHOLE, refusal=ServiceError("overloaded", "Too many.", retry_after=5.0)) as there:
        status, headers, _ = await there.get("clip.mp3")
        assert (status, headers["Retry-After"]) == (503, "5")


async def test_who_only_looks_sets_nobody_to_work() -> None:
    """The head of a clip, without a clip."""
    async with place(*WHOLE) as there, there.http.head(there.path + "clip.flac") as response:
        assert (response.status, response.headers["Content-Type"]) == (200, "audio/flac")
        assert there.scissors.orders == []


async def test_no_tenant_has_all_places_for_itself() -> None:
    """Half of them; whoever is past that is refused before its song is put together, and a place comes back."""
    async with place(*WHOLE, places=4) as there:
        held = there.scissors.hold = asyncio.Event()
        asked = [asyncio.create_task(there.get("clip.mp3")) for _ in range(2)]
        await soon(lambda: len(there.scissors.orders) == 2)
        assert await there.error("clip.mp3") == (429, "concurrency_exceeded", None)
        held.set()
        assert [(await one)[0] for one in asked] == [200, 200]
        assert (await there.get("clip.mp3"))[0] == 200
        assert len(there.scissors.orders) == 3


async def test_what_is_refused_at_once_puts_no_song_together() -> None:
    """Whether by what it asks for, or for want of room: a flood of those costs no copies."""
    async with place(*WHOLE) as there:
        there.scissors.full = ServiceError("overloaded", "Too many.", retry_after=5.0)
        assert await there.error("clip.mp3") == (503, "overloaded", None)
        assert there.scissors.orders == []


async def test_a_clip_counts_as_sent() -> None:
    """Its bytes are the stream's, as if they had been listened to."""
    async with place(*WHOLE) as there:
        _, _, body = await there.get("clip.wav")
        assert there.stream.renditions.egress == len(body)
        took = there.stream.traffic()
        assert took is not None
        assert took.egress_bytes == len(body)
