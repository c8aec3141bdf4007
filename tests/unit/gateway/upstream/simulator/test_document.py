"""One song given as a document.

Invariant tested: the faults of a stream have their counterparts here, and what was made is billed.
It must not know streams.
"""

import base64
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from gateway.upstream.simulator import damage
from gateway.upstream.simulator.server import Simulator
from gateway.upstream.simulator.wire import Wire

Ask = Callable[..., Awaitable[Any]]

SCALE = "scale seconds=1"


async def test_a_document_is_whole(ask: Ask, sim: Simulator) -> None:
    """It has a length, the rate as a number, and no audio; what it costs is billed."""
    answer = await ask(SCALE, stream=False)
    assert int(answer.headers["Content-Length"]) == len(answer.raw)
    assert answer.document["output"]["audio"]["data"] == ""
    assert answer.document["output"]["extra_info"]["sample_rate"] == 48000
    assert sim.charged_seconds == 1


@pytest.mark.parametrize(("how", "whole"), [("end", True), ("close", False), ("reset", False)])
async def test_half_a_document(ask: Ask, sim: Simulator, how: str, whole: bool) -> None:
    """It breaks off in the middle, in each of the ways; the song was made, and is billed."""
    answer = await ask(f"{SCALE} cut how={how}", stream=False)
    assert 100 < len(answer.raw) < 400
    assert b"}}" not in answer.raw
    assert (answer.broken is None) is whole
    assert ("Content-Length" in answer.headers) is not whole
    assert sim.charged_seconds == 1


async def test_bad_documents(ask: Ask) -> None:
    """JSON that is none, audio that is no base64, and one of a megabyte."""
    with pytest.raises(ValueError):
        _ = (await ask(f"{SCALE} bad_json", stream=False)).document
    data = (await ask(f"{SCALE} bad_base64", stream=False)).document["output"]["audio"]["data"]
    with pytest.raises(ValueError):
        base64.b64decode(data, validate=True)
    assert len((await ask(f"{SCALE} oversized size=1000000", stream=False)).raw) == 1000000


@pytest.mark.parametrize("marker", ["empty seconds=9", f"{SCALE} url=0"])
async def test_no_sound_anywhere(ask: Ask, sim: Simulator, marker: str) -> None:
    """There is neither audio nor the url of any, and yet a bill."""
    answer = await ask(marker, stream=False)
    audio = answer.document["output"]["audio"]
    assert (audio["data"], audio.get("url", "")) == ("", "")
    assert sim.charged_seconds == answer.document["usage"]["duration"] > 0


async def test_a_silent_provider(ask: Ask) -> None:
    """A stall comes before the answer, beside the usual wait."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with Simulator(sleep=sleep) as sim:
        await ask(f"{SCALE} wait=0 stall silence=60", stream=False, at=sim)
    assert slept[-1] == 60


async def test_damage_is_in_the_file(client: aiohttp.ClientSession, ask: Ask) -> None:
    """The url gives the damaged song, in either format, and a WAV keeps the header that was wanted."""

    async def file(marker: str, form: str) -> bytes:
        url = (await ask(marker, stream=False, format=form)).document["output"]["audio"]["url"]
        async with client.get(url) as response:
            assert response.status == 200
            return await response.read()

    for form in ("mp3", "wav"):
        assert (await file(f"{SCALE} garbage size=100", form)).startswith(damage.garbage(100))
    assert (await file(f"{SCALE} wav=0", "wav")).startswith(b"RIFF\0\0\0\0")


async def test_a_client_that_is_gone_is_not_an_error(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    """The connection is given up, and the song is billed."""

    async def gone(self: Wire, data: bytes) -> None:
        raise ConnectionResetError

    monkeypatch.setattr(Wire, "write", gone)
    async with Simulator(speed=0) as sim:
        answer = await ask(SCALE, stream=False, at=sim)
        assert answer.broken is not None
        assert sim.charged_seconds == 1
