"""Scenarios at the door: which requests they befall, and what comes before any answer.

Invariant tested: parallel requests do not disturb each other, and nonsense is refused in the provider's form.
It must not know the faults one by one.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import pytest

from gateway.protocol.fun_music import PATH
from gateway.upstream.simulator.faults import FAULTS
from gateway.upstream.simulator.server import Simulator

Ask = Callable[..., Awaitable[Any]]


async def test_so_many_times_and_then_the_song(ask: Ask) -> None:
    """Two refusals with the time to wait, then the song; another id has its own count."""
    marker = "scale seconds=0.5 throttle times=2 retry_after=1 id="
    answers = [await ask(marker + name) for name in ("a", "a", "b", "a", "b", "a", "b")]
    assert [answer.status for answer in answers] == [429, 429, 429, 200, 429, 200, 200]
    assert answers[0].headers["Retry-After"] == "1"
    assert answers[3].audio


def plain(answer: Any) -> tuple[object, ...]:
    """What two answers to the same request have in common."""
    return answer.status, answer.broken is None, re.sub(rb"[0-9a-f]{8}-[0-9a-f-]{27}|\d{10}", b"", answer.raw)


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("fault", FAULTS)
async def test_every_fault_can_be_counted(ask: Ask, fault: str, stream: bool) -> None:
    """The first answer is not the song, or late; the second one is the song, in either mode."""
    extra = {"stall": " silence=0.05", "oversized": " size=30000"}.get(fault, "")
    marker = f"scale seconds=0.5 {fault} times=1 id=x{extra}"
    song = plain(await ask("scale seconds=0.5", stream=stream))
    loop = asyncio.get_running_loop()
    start = loop.time()
    first = plain(await ask(marker, stream=stream))
    assert first != song or (fault == "stall" and loop.time() - start >= 0.05)
    assert plain(await ask(marker, stream=stream)) == song


async def test_without_a_scenario_the_song_comes(client: aiohttp.ClientSession, sim: Simulator) -> None:
    """Ordinary words are sung."""
    body = {"model": "fun-music-v1", "input": {"prompt": "a calm song about the sea"}}
    headers = {"Authorization": "Bearer any", "X-DashScope-SSE": "enable"}
    async with client.post(sim.url + PATH, json=body, headers=headers) as response:
        assert response.status == 200
        assert await response.content.readline() == b"id:1\n"


async def test_a_refusal_waits(ask: Ask) -> None:
    """`wait` and `hold` come before it, in either mode; and `hold` before the headers of a stream."""
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    async with Simulator(sleep=sleep) as sim:
        await ask("busy wait=2 hold=3", at=sim)
        await ask("busy wait=4", at=sim, stream=False)
        assert slept == [3, 2, 4]
        await ask("empty hold=5 wait=6", at=sim)
        assert slept == [3, 2, 4, 5, 6]


async def test_headers_are_held(sim: Simulator, ask: Ask) -> None:
    """While an answer is held, not even its status is there; while it waits, its headers are."""
    gate = asyncio.Event()
    reached: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        await reached.put(seconds)
        async with asyncio.timeout(5):
            await gate.wait()

    async with Simulator(sleep=sleep) as held:
        asking = asyncio.ensure_future(ask("empty hold=9", at=held))
        async with asyncio.timeout(5):
            assert await reached.get() == 9
        done, _ = await asyncio.wait([asking], timeout=0.05)
        assert not done
        gate.set()
        assert (await asking).status == 200


@pytest.mark.parametrize("marker", ["cut after=1", "busy after=0.5", "garbage after=2"])
async def test_a_document_has_one_moment(ask: Ask, marker: str) -> None:
    """A point in the song means nothing to a call that does not stream, and this is said."""
    answer = await ask(marker, stream=False)
    assert (answer.status, answer.document["code"]) == (400, "InvalidParameter")
    assert "after is for streams" in answer.document["message"]


async def test_nonsense_is_refused(ask: Ask, sim: Simulator) -> None:
    """In the provider's flat form, with the scenario's own sentence."""
    answer = await ask("scale cut how=rudely")
    assert answer.status == 400
    assert answer.document["message"] == "The option how takes end, close, reset, not 'rudely'."
    assert sim.charged_seconds == 0
