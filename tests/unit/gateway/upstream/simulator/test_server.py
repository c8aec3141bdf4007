"""The simulator on a real socket.

Invariant tested: the wire is the provider's, pacing does not drift, and clients that go away leave nothing behind.
It must not know how songs sound.
"""

import asyncio
import base64
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest

from gateway.protocol.fun_music import LEGACY_PATH, PATH
from gateway.upstream.simulator import rendering, wire
from gateway.upstream.simulator.scenario import HEADER
from gateway.upstream.simulator.server import Simulator
from gateway.upstream.simulator.songbook import SongBook

SCALE = "[[scale seconds=2 speed=0]] a scale for the test bench"
KEY = {"Authorization": "Bearer any"}
SSE = {**KEY, "X-DashScope-SSE": "enable"}


@pytest.fixture
async def client() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=30)) as session:
        yield session


@pytest.fixture
async def sim() -> AsyncIterator[Simulator]:
    async with Simulator(random=random.Random(1)) as simulator:
        yield simulator


def call(prompt: str = SCALE, model: str = "fun-music-v1", **fields: object) -> dict[str, object]:
    return {"model": model, "input": {"prompt": prompt, **fields}}


async def stream(
    client: aiohttp.ClientSession, sim: Simulator, body: dict[str, object], **headers: str
) -> tuple[bytes, list[dict[str, Any]]]:
    """The raw answer and the JSON of its events."""
    async with client.post(sim.url + PATH, json=body, headers={**SSE, **headers}) as response:
        assert response.status == 200
        assert response.content_type == "text/event-stream"
        assert response.headers["X-Wavegate-Simulated"] == "true"
        raw = await response.read()
    return raw, [json.loads(line[5:]) for line in raw.split(b"\n") if line.startswith(b"data:")]


def joined(events: list[dict[str, Any]]) -> bytes:
    return b"".join(base64.b64decode(event["output"]["audio"]["data"]) for event in events)


async def test_the_stream_is_the_providers(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """Events are framed and numbered as the provider's, and say only what its say."""
    raw, events = await stream(client, sim, call())
    frames = raw.split(b"\n\n")
    assert frames.pop() == b""
    for number, frame in enumerate(frames, 1):
        assert frame.startswith(b"id:%d\nevent:result\n:HTTP_STATUS/200\ndata:{" % number)
    for event in events[:-1]:
        assert event["output"]["finish_reason"] == "null"
        assert set(event) == {"output", "request_id"}
        assert set(event["output"]["audio"]) == {"data", "expires_at", "id"}
    assert len({event["request_id"] for event in events}) == 1
    last = events[-1]
    assert last["output"]["audio"]["data"] == ""
    assert last["output"]["finish_reason"] == "stop"
    assert last["output"]["extra_info"] == {"channels": 2, "sample_rate": "48000", "lyrics": ""}
    assert last["usage"] == {"duration": 2}
    assert sim.charged_seconds == 2


async def test_each_call_is_accounted(client: aiohttp.ClientSession) -> None:
    """By its own id, as soon as it is over."""
    told: list[tuple[str, float, bool]] = []
    async with Simulator(account=lambda *call: told.append(call)) as sim:
        for options in ("seconds=1", "seconds=2 usage=0"):
            _, events = await stream(client, sim, call(f"[[scale {options} speed=0]]"))
            assert told.pop() == (events[-1]["request_id"], *((1, True) if options == "seconds=1" else (2, False)))
    assert not told


async def test_the_url_serves_the_joined_slices(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """The file is the slices, byte for byte, with its length and type, and it begins with a tag."""
    _, events = await stream(client, sim, call())
    url = events[-1]["output"]["audio"]["url"]
    async with client.get(url) as response:
        data = await response.read()
        assert response.content_type == "audio/mpeg"
        assert response.content_length == len(data)
        assert response.headers["X-Wavegate-Simulated"] == "true"
    assert data == joined(events)
    assert data.startswith(b"ID3")
    async with client.get(url.replace(".mp3", ".wav")) as response:
        assert response.status == 404


async def test_slices_and_wav(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """Slices have the size asked for; a streamed WAV begins with a placeholder header."""
    _, events = await stream(
        client, sim, call("[[scale seconds=1 speed=0 slice=4000]] five more words to say", format="wav")
    )
    sizes = [len(base64.b64decode(event["output"]["audio"]["data"])) for event in events[:-1]]
    assert set(sizes[:-1]) == {4000}
    assert sum(sizes) == 44 + 48000 * 4
    assert joined(events)[40:44] == b"\xff\xff\xff\xff"


@pytest.mark.parametrize("path", [PATH, LEGACY_PATH])
async def test_a_whole_song(client: aiohttp.ClientSession, sim: Simulator, path: str) -> None:
    """Without the header one JSON comes, whose rate is a number and whose file knows its length."""
    async with client.post(sim.url + path, json=call(format="wav"), headers=KEY) as response:
        answer = await response.json()
        assert response.headers["X-Wavegate-Simulated"] == "true"
    assert answer["output"]["extra_info"]["sample_rate"] == 48000
    assert answer["output"]["finish_reason"] == "stop"
    assert answer["usage"] == {"duration": 2}
    async with client.get(answer["output"]["audio"]["url"]) as response:
        data = await response.read()
        assert response.content_type == "audio/wav"
    assert int.from_bytes(data[40:44], "little") == len(data) - 44


async def test_the_same_request_gives_the_same_song(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """A composed song is the same bytes each time, another prompt another song, and its lyrics are reported."""
    bodies = [call(f"[[song seconds=1 speed=0]] a song about the {what}") for what in ("sea", "sea", "wind")]
    answers = [await stream(client, sim, body) for body in bodies]
    one, two, three = (joined(events) for _, events in answers)
    assert one == two != three
    assert "sea" in answers[0][1][-1]["output"]["extra_info"]["lyrics"]


async def test_the_watermark_is_billed(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """The mark lengthens the song, and with it the bill."""
    _, events = await stream(client, sim, call(enable_aigc_watermark=True))
    assert events[-1]["usage"]["duration"] > 2


async def test_the_header_chooses_the_scenario(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """A scenario may come in a header, beside any words."""
    _, events = await stream(client, sim, call("x"), **{HEADER: "scale seconds=3 speed=0"})
    assert events[-1]["usage"] == {"duration": 3}


@pytest.mark.parametrize(
    ("body", "status", "code", "says"),
    [
        (call("too short"), 400, "InvalidParameter", "prompt"),
        (call("[[scales]]"), 400, "InvalidParameter", "Known: song, scale"),
        (call("[[scale minutes=3]]"), 400, "InvalidParameter", "Known: seconds, speed, slice, bitrate, wait"),
        (call(SCALE, format="ogg"), 400, "InvalidParameter", "format"),
        (call(SCALE, model="suno"), 404, "ModelNotFound", "model"),
        ({"model": "fun-music-v1"}, 400, "InvalidParameter", "body"),
        ({"model": "fun-music-v1", "input": {}}, 400, "InvalidParameter", ""),
    ],
)
async def test_refusals(
    client: aiohttp.ClientSession, sim: Simulator, body: dict[str, object], status: int, code: str, says: str
) -> None:
    """What the provider would refuse is refused in its flat form, streamed or not."""
    async with client.post(sim.url + PATH, json=body, headers=SSE) as response:
        answer = await response.json()
        assert (response.status, answer["code"]) == (status, code)
    assert set(answer) == {"code", "message", "request_id"}
    assert says in answer["message"]
    assert sim.requests == 1
    assert sim.charged_seconds == 0


@pytest.mark.parametrize("authorization", [None, "Bearer", "Bearer  ", "Basic abc", "Bearer wrong"])
async def test_keys(client: aiohttp.ClientSession, authorization: str | None) -> None:
    """Only the configured key is accepted; a missing, empty or other one is answered with 401."""
    async with Simulator(api_key="right") as sim:
        headers = {"Authorization": authorization} if authorization else {}
        async with client.post(sim.url + PATH, json=call(), headers=headers) as response:
            assert response.status == 401
            assert (await response.json())["code"] == "InvalidApiKey"
        async with client.post(sim.url + PATH, json=call(), headers={"Authorization": "Bearer right"}) as response:
            assert response.status == 200


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/"), ("GET", PATH), ("POST", "/api/v1/x"), ("GET", "/files/a.mp3")]
)
async def test_other_paths(client: aiohttp.ClientSession, sim: Simulator, method: str, path: str) -> None:
    """Anything else is 404 in the provider's words."""
    async with client.request(method, sim.url + path) as response:
        answer = await response.json()
        assert response.status == 404
    assert answer["code"] == "NotFound"
    assert answer["message"] == "Request path not found."
    assert sim.requests == 0


class Time:
    """A clock that only sleeping moves, always a little further than asked."""

    def __init__(self, late: float) -> None:
        self.now = 1000.0
        self.late = late
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds + (self.late if seconds else 0.0)
        await asyncio.sleep(0)


async def test_pacing_does_not_drift(client: aiohttp.ClientSession) -> None:
    """Although every sleep is late, the last slice is sent when it is due, give or take one lateness."""
    time = Time(late=0.03)
    async with Simulator(clock=time, sleep=time.sleep) as sim:
        await stream(client, sim, call("[[scale seconds=10 speed=2 wait=7]] bench"))
    assert time.slept[0] == 7
    assert time.now - 1007 == pytest.approx(10 / 2, abs=0.1)


@pytest.mark.parametrize(("speed", "low", "high"), [(1.0, 0.35, 0.8), (0.0, 0.0, 0.0)])
async def test_the_first_event_waits_a_little(
    client: aiohttp.ClientSession, speed: float, low: float, high: float
) -> None:
    """By default a short wait comes before the first event, none as fast as possible; a whole song waits, too."""
    time = Time(late=0.0)
    async with Simulator(speed=speed, clock=time, sleep=time.sleep) as sim:
        await stream(client, sim, call("[[scale seconds=1]] bench"))
        assert low <= time.slept[0] <= high
        time.slept.clear()
        async with client.post(sim.url + PATH, json=call("[[scale seconds=8]] bench"), headers=KEY) as response:
            assert response.status == 200
    assert low + 8 / 8 * speed <= sum(time.slept) <= high + 8 / 8 * speed


async def test_a_client_that_leaves_ends_its_request_at_once(client: aiohttp.ClientSession) -> None:
    """The pacing is cancelled when the connection goes, and what was delivered is charged."""
    gone = asyncio.Event()

    async def sleep(seconds: float) -> None:
        if seconds:
            try:
                await asyncio.wait_for(asyncio.Event().wait(), 20)
            finally:
                gone.set()

    async with Simulator(sleep=sleep) as sim:
        response = await client.post(
            sim.url + PATH, json=call("[[scale seconds=60 speed=1 wait=0]] bench"), headers=SSE
        )
        assert (await response.content.readline()) == b"id:1\n"
        response.close()
        await asyncio.wait_for(gone.wait(), 5)
        assert sim.charged_seconds == pytest.approx(0.2, abs=0.01)


async def test_closing_ends_what_runs(client: aiohttp.ClientSession) -> None:
    """The simulator ends in the middle of a song, without waiting for it."""
    async with asyncio.timeout(5):
        async with Simulator(speed=1) as sim:
            prompt = call("[[scale seconds=60 wait=0]] bench")
            response = await client.post(sim.url + PATH, json=prompt, headers=SSE)
            await response.content.readline()
        with pytest.raises(aiohttp.ClientError):
            await response.read()


async def test_a_client_that_takes_nothing_is_cut(
    client: aiohttp.ClientSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A write that nobody takes for too long ends the connection, and the bill says what was sent."""
    monkeypatch.setattr(wire, "STALL_SECONDS", 0.05)
    charged = asyncio.Event()

    class Watched(Simulator):
        def __setattr__(self, name: str, value: object) -> None:
            super().__setattr__(name, value)
            if name == "charged_seconds" and value:
                charged.set()

    async with Watched(speed=0) as sim:
        body = call("[[scale seconds=90]] bench", format="wav")
        async with client.post(sim.url + PATH, json=body, headers=SSE) as response:
            await asyncio.wait_for(charged.wait(), 10)
            assert sim.charged_seconds < 90
            with pytest.raises(aiohttp.ClientError):
                await response.read()


async def test_a_song_that_cannot_be_made(
    client: aiohttp.ClientSession, sim: Simulator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure is the provider's InternalError: an error event in a stream, a 500 otherwise."""

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of ideas")

    monkeypatch.setattr(rendering, "compose", fail)
    body = call("[[song speed=0 slice=10000]] a song about the sea")
    raw, events = await stream(client, sim, body)
    assert raw.startswith(b"id:1\nevent:error\n:HTTP_STATUS/500\n")
    assert events[-1]["code"] == "InternalError.Algo"
    async with client.post(sim.url + PATH, json=body, headers=KEY) as response:
        assert response.status == 500
        assert (await response.json())["code"] == "InternalError.Algo"


async def test_a_forgotten_file_is_not_found(client: aiohttp.ClientSession) -> None:
    """A url is good while its song is known."""
    async with Simulator(book=SongBook(max_bytes=10)) as sim:
        _, events = await stream(client, sim, call())
        async with client.get(events[-1]["output"]["audio"]["url"]) as response:
            assert response.status == 404


async def test_a_taken_port_is_said(sim: Simulator) -> None:
    """Starting on a port that is taken fails, and leaves nothing behind."""
    other = Simulator(port=int(sim.url.rpartition(":")[2]))
    with pytest.raises(OSError, match="address already in use"):
        await other.__aenter__()


async def test_a_hundred_at_once(client: aiohttp.ClientSession) -> None:
    """A hundred generations of one scenario all get their song, which is made once."""
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0)) as many, Simulator(speed=20) as sim:
        answers = await asyncio.gather(*(stream(many, sim, call("[[scale seconds=4]] bench")) for _ in range(100)))
        assert len({joined(events) for _, events in answers}) == 1
        assert sim.requests == 100
        assert sim.charged_seconds == 400
