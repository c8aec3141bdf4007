"""What the relay may expect of those who encode when one of them is killed in the middle of a song.

Invariant under test: taken up where it was, what is heard is what a Transcoder makes alone, without hole or overlap.
It must not know pools from inside: it is a relay that asks and an operator's worst day.
"""

import asyncio
import os
import signal
from collections.abc import Callable

import pytest

from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder
from tests.contract.test_encodings import FORMS, PCM, alone, songs
from transcode.framer import Framer
from transcode.packet import Encoded, Packet, Resume
from transcode.spec import EncoderSpec


class Rounds:
    """Lets those who listen go on together, so that a step of each is out at the moment of `strike`.

    However slow a worker is beside another, none of them is done before the others have begun.
    """

    def __init__(self, running: int, strike: Callable[[], None]) -> None:
        self._running = running
        self._strike = strike
        self._waiting: list[Listening] = []

    def answered(self, one: "Listening", *, last: bool) -> None:
        if last:
            self._running -= 1
        else:
            self._waiting.append(one)
        if self._waiting and len(self._waiting) == self._running:
            waiting, self._waiting = self._waiting, []
            for other in waiting:
                other.go_on()
            self._strike()

    def lost(self, one: "Listening") -> None:
        """It begins again by itself, even if it was answered before its worker died and waits for the others."""
        if one in self._waiting:
            self._waiting.remove(one)


class Listening:
    """A relay in small: feeds a song, and takes it up again where it was when it is lost."""

    def __init__(self, pool: EncodingPool, spec: EncoderSpec, frames: list[tuple[int, bytes]], rounds: Rounds) -> None:
        self.packets: list[Packet] = []
        self.losses = 0
        self._rounds = rounds
        self.done = asyncio.Event()
        self._pool, self._spec, self._frames = pool, spec, frames
        self._next = 0
        self._lead = self._rewind = 0
        self._encode = pool.open(spec, self)
        self.go_on()

    def go_on(self) -> None:
        data = b"".join(data for _, data in self._frames[self._next : self._next + 5])
        self._next += 5
        self._encode.step(data, last=self._next >= len(self._frames))

    def encoded(self, result: Encoded) -> None:
        self.packets += result.packets
        self._lead, self._rewind = result.lead, result.rewind
        last = self._next >= len(self._frames)
        if last:
            self.done.set()
        self._rounds.answered(self, last=last)

    def failed(self, error: object) -> None:
        raise AssertionError(error)

    def lost(self) -> None:
        self.losses += 1
        self._rounds.lost(self)
        if not self.packets:
            self._next, resume = 0, None
        else:
            at = self.packets[-1].pts + self.packets[-1].duration
            self._next = max(number for number, (begin, _) in enumerate(self._frames) if begin <= self._rewind)
            resume = Resume(at, self._frames[self._next][0], self._lead)
        self._encode = self._pool.open(self._spec, self, resume)
        self.go_on()


def framed(song: bytes) -> list[tuple[int, bytes]]:
    """The frames of a song, each with the sample at which it begins."""
    framer = Framer()
    frames = framer.feed(song) + framer.flush()
    found, at = [], 0
    for frame in frames:
        found.append((at, frame.data))
        at += frame.samples
    return found


async def test_a_killed_worker_is_not_heard() -> None:
    """Killed in mid-song, as often as it comes back: what is heard has no hole and no overlap, and is the same."""
    await struck_down(PCM)


@pytest.mark.asyncio(loop_factories=["uvloop"])  # codecs know no loop
@pytest.mark.parametrize("spec", [FORMS[1], FORMS[3]], ids=["pcm24k", "aac"])
async def test_a_codec_goes_on_in_another_worker(spec: EncoderSpec) -> None:
    """Resampled, and with what an encoder holds back."""
    await struck_down(spec)


async def struck_down(spec: EncoderSpec) -> None:
    """Four listen to two workers, of which one is killed whenever there are two."""
    frames = framed(songs()["mp3"] * 8)
    expected = alone(spec, [data for _, data in frames])
    async with EncodingPool(Transcode(workers=2), Recorder(), chance=lambda: 0.0) as pool:
        struck: set[str] = set()

        def strike() -> None:
            """Somebody must be left to go on."""
            if len(pool.workers) == 2 and not struck.intersection(pool.workers):
                struck.add(pool.workers[0])
                os.kill(int(pool.workers[0].split()[1]), signal.SIGKILL)

        rounds = Rounds(4, strike)
        listening = [Listening(pool, spec, frames, rounds) for _ in range(4)]
        await asyncio.wait_for(asyncio.gather(*(one.done.wait() for one in listening)), 45)
    assert sum(one.losses for one in listening) >= 2
    for one in listening:
        begins = [packet.pts for packet in one.packets]
        ends = [packet.pts + packet.duration for packet in one.packets]
        assert begins == [expected[0].pts, *ends[:-1]]
        assert (ends[-1], one.packets[-1].padding) == (expected[-1].pts + expected[-1].duration, expected[-1].padding)
        if spec.codec == "pcm":  # cut into packets as it was fed
            assert b"".join(packet.data for packet in one.packets) == b"".join(packet.data for packet in expected)
        else:
            assert begins == [packet.pts for packet in expected]
