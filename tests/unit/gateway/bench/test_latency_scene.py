"""Where delays are measured: the sound, and a crowd that is not content.

Invariant under test: an event completes a chunk of the gateway's, and a crowd that missed something gives no figures.
It must not start a gateway: that is tried with the whole bench.
"""

import asyncio
from types import SimpleNamespace
from typing import Any, cast

import pytest

from gateway.bench.benches import BenchError
from gateway.bench.latency_provider import Generation, Provider
from gateway.bench.latency_scene import EVENT_SECONDS, FRAME_SAMPLES, FRAMES, content, on_air, sound
from gateway.bench.stage import Crowd, Server
from gateway.relay.rendition import NativeRendition
from tests.support.relay import new_channel


def test_an_event_completes_a_chunk() -> None:
    """Each of them, the first one too: a listener hears of every event when it comes, and of nothing later."""
    channel = new_channel(max_bytes=1 << 24)
    rendition = NativeRendition(channel, lambda: 0.0)
    for number, piece in enumerate(sound()[:20]):
        rendition.feed(piece)
        assert len(channel.retained) == number + 1
        assert channel.end_pts // FRAME_SAMPLES == (number + 1) * FRAMES - 1


@pytest.mark.parametrize(
    ("present", "faults", "words", "told"),
    [
        (9, {}, [], "9 of 10 listeners were there at the end: no more is known"),
        (10, {"lost": 1}, ["lost: chunk 3"], "10 of 10 listeners were there at the end: lost: chunk 3"),
    ],
)
async def test_who_missed_something_is_told(present: int, faults: dict[str, int], words: list[str], told: str) -> None:
    """Gone, or given something wrong."""

    class Told:
        async def report(self) -> Any:
            return SimpleNamespace(groups={"everybody": SimpleNamespace(present=present, faults=faults, words=words)})

    with pytest.raises(BenchError, match=told):
        await content(cast("Crowd", Told()), 10)
    present, faults = 10, {}
    await content(cast("Crowd", Told()), 10)


async def test_streams_are_on_the_air_evenly() -> None:
    """One event after the other, in turns, and finished in the end."""
    said: list[tuple[str, bytes]] = []

    class Song:
        def __init__(self, name: str) -> None:
            self.name = name
            self.sent: list[float] = []
            self.finished: float | None = None

        def send(self, data: bytes) -> None:
            said.append((self.name, data))
            self.sent.append(0.0)
            if len(said) == 6:
                enough.set()

        def finish(self, seconds: float, sample_rate: int, channels: int) -> None:
            self.finished = seconds

    class Sings:
        async def called(self, prompt: str) -> Generation:
            return cast("Generation", Song(prompt))

    class Takes:
        async def order(self, prompt: str) -> str:
            return prompt[-1]

    enough = asyncio.Event()
    provider, gateway = cast("Provider", Sings()), cast("Server", Takes())
    hurried = iter(range(1000))
    async with on_air(provider, gateway, 2, [b"a", b"b"], lambda: float(next(hurried))) as radio:
        assert list(radio) == ["0", "1"]
        await asyncio.wait_for(enough.wait(), 10)
    assert [(name[-1], data) for name, data in said[:6]] == [
        ("0", b"a"),
        ("1", b"a"),
        ("0", b"b"),
        ("1", b"b"),
        ("0", b"a"),
        ("1", b"a"),
    ]
    assert all(cast("Song", song).finished == len(song.sent) * EVENT_SECONDS for song in radio.values())


async def test_a_broadcast_that_breaks_is_told() -> None:
    """Before anybody believes the figures."""

    class Sings:
        async def called(self, prompt: str) -> Generation:
            return cast("Generation", SimpleNamespace(send=broken, finish=lambda *_: None, sent=[]))

    class Takes:
        async def order(self, prompt: str) -> str:
            return prompt

    gone = asyncio.Event()

    def broken(data: bytes) -> None:
        gone.set()
        raise RuntimeError("broken")

    hurried = iter(range(1000))
    radio = on_air(cast("Provider", Sings()), cast("Server", Takes()), 1, [b"a"], lambda: float(next(hurried)))
    await radio.__aenter__()
    await asyncio.wait_for(gone.wait(), 10)
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="broken"):
        await radio.__aexit__(None, None, None)
