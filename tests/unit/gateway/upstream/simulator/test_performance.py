"""One song given as a stream.

Invariant tested: a fault happens at its byte and nowhere else, what comes after it is the song, the bill is right.
It must not know line ends.
"""

import asyncio
import base64
import json
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.upstream.simulator import damage
from gateway.upstream.simulator.server import Simulator

Ask = Callable[..., Awaitable[Any]]

SCALE = "scale seconds=1"
SIZE = 24000  # bytes of a second


class Time:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 50.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds
        await asyncio.sleep(0)


@pytest.mark.parametrize("size", [1, 7777, 1000000])
async def test_slices_of_any_size(ask: Ask, size: int) -> None:
    """From one byte to all of the song in an event; joined, it is the song."""
    song = (await ask("scale seconds=0.2")).audio
    answer = await ask(f"scale seconds=0.2 slice={size}")
    assert answer.audio == song
    assert len(answer.events) == -(-len(song) // size) + 1


@pytest.mark.parametrize(("after", "at"), [(0, 0), (0.33, 7920), (99, None)])
async def test_an_error_at_its_point(ask: Ask, sim: Simulator, after: float, at: int | None) -> None:
    """The song up to that byte, then an error event and nothing more; what was delivered is billed."""
    song = (await ask(SCALE)).audio
    sim.charged_seconds = 0
    answer = await ask(f"{SCALE} allocation after={after} shape=event")
    assert answer.audio == song[:at]
    last = answer.raw.split(b"\n\n")[-2]
    assert b"\nevent:error\n:HTTP_STATUS/429\n" in last
    assert b"Throttling.AllocationQuota" in last
    assert answer.raw.count(b"event:error") == 1
    assert b'"stop"' not in answer.raw
    assert sim.charged_seconds == pytest.approx(len(answer.audio) / SIZE)


async def test_an_error_after_some_sound_is_an_event_by_itself(ask: Ask) -> None:
    """Then no shape need be given."""
    answer = await ask(f"{SCALE} busy after=0.5")
    assert (answer.status, len(answer.audio)) == (200, 12000)
    assert b"event:error\n:HTTP_STATUS/500\n" in answer.raw


@pytest.mark.parametrize("fault", ["stall silence=0", "bad_base64", "bad_json", "oversized size=50000"])
async def test_the_song_goes_on_after_these(ask: Ask, fault: str) -> None:
    """One event is spoilt at most; all the others are the song's, and the last word comes."""
    song = (await ask(SCALE)).audio
    answer = await ask(f"{SCALE} slice=3000 {fault} after=0.5")
    events = answer.raw.split(b"\n\n")[:-1]
    good, bad = [], []
    for number, event in enumerate(events):
        try:
            document = json.loads(event.partition(b"data:")[2])
            data = document["output"]["audio"]["data"]
            good.append((number, base64.b64decode(data, validate=True)))
        except ValueError:
            bad.append(number)
    assert bad == ([4] if fault.startswith("bad") else [])
    assert len(events[4]) > 50000 or "oversized" not in fault
    assert max(map(len, events[:4] + events[5:])) < 5000
    assert b"".join(data for _, data in good) == (song[:12000] + song[15000:] if bad else song)
    assert b'"stop"' in events[-1]


async def test_a_fault_beyond_the_end_is_right_before_the_last_word(ask: Ask) -> None:
    """All of the song is there, and the last event is the one that is spoilt."""
    answer = await ask(f"{SCALE} bad_json after=60")
    *events, last = answer.raw.split(b"\n\n")[:-1]
    assert all(json.loads(event.partition(b"data:")[2]) for event in events)
    with pytest.raises(ValueError):
        json.loads(last.partition(b"data:")[2])


async def test_garbage_in_the_audio(ask: Ask, sim: Simulator) -> None:
    """The foreign bytes are where they were wanted, the rest is the song, and the bill is the song's."""
    song = (await ask(SCALE)).audio
    sim.charged_seconds = 0
    audio = (await ask(f"{SCALE} garbage size=300 after=0.5")).audio
    assert audio == song[:12000] + damage.garbage(300) + song[12000:]
    assert (await ask(f"{SCALE} garbage size=300")).audio == damage.garbage(300) + song
    assert sim.charged_seconds == 2
    noise = (await ask(f"{SCALE} noise")).audio
    assert len(noise) == len(song)
    assert noise[100:200] != song[100:200]


@pytest.mark.parametrize(("seconds", "billed"), [("", 30), ("seconds=7.2", 8)])
async def test_an_empty_song_is_billed(ask: Ask, sim: Simulator, seconds: str, billed: int) -> None:
    """One event, without audio, with everything else."""
    answer = await ask(f"empty {seconds}")
    (event,) = answer.events
    assert event["output"]["audio"]["data"] == ""
    assert event["output"]["finish_reason"] == "stop"
    assert event["usage"] == {"duration": billed}
    assert sim.charged_seconds == billed


@pytest.mark.parametrize("size", [1000, 4000, 1000000])
async def test_audio_on_the_last_word(ask: Ask, size: int) -> None:
    """The last slice is on the stop event; joined, it is the song."""
    song = (await ask(SCALE)).audio
    answer = await ask(f"{SCALE} slice={size} stop_audio=1")
    assert answer.audio == song
    assert answer.events[-1]["output"]["finish_reason"] == "stop"
    assert len(base64.b64decode(answer.events[-1]["output"]["audio"]["data"])) == (len(song) - 1) % size + 1
    assert len(answer.events) == -(-len(song) // size)


@pytest.mark.parametrize(
    ("option", "path"),
    [("url=0", ("output", "audio", "url")), ("usage=0", ("usage",)), ("rate=none", ("output", "extra_info", "rate"))],
)
async def test_a_last_word_without_a_part(ask: Ask, option: str, path: tuple[str, ...]) -> None:
    """The stop event leaves out what is not wanted."""
    found = (await ask(f"{SCALE} {option}")).events[-1]
    for key in path[:-1]:
        found = found[key]
    assert path[-1] not in found


@pytest.mark.parametrize(("rate", "value"), [("string", "48000"), ("number", 48000)])
async def test_the_rate_is_told_as_wanted(ask: Ask, rate: str, value: object) -> None:
    """As text or as a number."""
    assert (await ask(f"{SCALE} rate={rate}")).events[-1]["output"]["extra_info"]["sample_rate"] == value


@pytest.mark.parametrize(
    ("option", "form", "head"),
    [
        ("id3=1", "mp3", b"ID3\x04"),
        ("id3=0", "mp3", b"\xff\xfb"),
        ("id3=0 xing=1", "mp3", b"\xff\xfb\xb4\x00" + bytes(32) + b"Info"),
        ("id3=0 xing=1 vbr=1", "mp3", b"\xff\xfb\x94\x00" + bytes(32) + b"Xing"),
        ("wav=0", "wav", b"RIFF\0\0\0\0WAVEfmt "),
        ("wav=0xFFFFFFFF", "wav", b"RIFF\xff\xff\xff\xffWAVEfmt "),
        ("wav=short", "wav", b"RIFF" + (96036).to_bytes(4, "little")),
        ("wav=extensible", "wav", b"RIFF\xff\xff\xff\xffWAVEfmt \x28\0\0\0\xfe\xff"),
    ],
)
async def test_the_head_of_the_audio(ask: Ask, option: str, form: str, head: bytes) -> None:
    """What stands before the sound is what was wanted, in the first event."""
    answer = await ask(f"{SCALE} {option}", format=form)
    assert answer.audio.startswith(head)
    assert answer.events[-1]["usage"] == {"duration": 1}


async def test_the_pace_of_a_fault(ask: Ask) -> None:
    """It comes when its second is due, and a silence delays what comes after it by its length."""
    time = Time()
    async with Simulator(clock=time, sleep=time.sleep) as sim:
        await ask("scale seconds=4 speed=2 wait=3 stall after=2 silence=10", at=sim)
        assert time.slept[0] == 3
        silence = time.slept.index(10)
        assert sum(time.slept[:silence]) == pytest.approx(3 + 2 / 2)
        assert sum(time.slept) == pytest.approx(3 + 4 / 2 + 10, abs=0.1)


async def test_a_variable_bitrate_is_paced_by_its_mean(ask: Ask) -> None:
    """The last slice is due about when the song's last fifth of a second is."""
    time = Time()
    async with Simulator(clock=time, sleep=time.sleep) as sim:
        await ask("scale seconds=8 speed=1 wait=0 vbr=1", at=sim)
    assert sum(time.slept) == pytest.approx(8, abs=0.5)
