"""What the relay may expect of those who encode, on processes and on threads alike.

Invariant under test: steps are answered in order, one encode's trouble is its own, every place comes back, and what is
made is what a Transcoder makes alone, even when a worker was killed in the middle of it.
It must not know pools from inside: it is a relay that asks and a gateway that builds.
"""

import asyncio
import gc
import os
from functools import cache

import numpy as np
import pytest

from gateway.config.schema import Transcode
from gateway.encoding.keeper import Make
from gateway.encoding.pool import EncodingPool
from gateway.errors import ServiceError
from metrics.recorder import Recorder
from tests.support.parrots import (
    PCM,
    SPEC,
    Heard,
    Journal,
    Parrot,
    active,
    events,
    parrot_process,
    parrot_thread,
    spent,
)
from tests.support.relay import wav
from transcode.packet import Packet
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder

KINDS = {"processes": 1, "threads": 0}
FORMS = [
    PCM,
    EncoderSpec("pcm", 24000, 1, None),
    EncoderSpec("opus", 48000, 2, 96000),
    EncoderSpec("aac", 44100, 2, 128000),
    EncoderSpec("flac", 44100, 2, None),
    EncoderSpec("mp3", 44100, 1, 64000),
]


@pytest.fixture(params=list(KINDS))
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def parrots(kind: str) -> Make:
    return parrot_process() if kind == "processes" else parrot_thread()


def one(make: Make, recorder: Recorder | None = None, *, most: int = 50, **times: float) -> EncodingPool:
    """A pool of one worker."""
    return EncodingPool(Transcode(workers=1, max_encodings=most), recorder or Recorder(), make=make, **times)  # type: ignore[arg-type] # timeouts by name


def sing(pool: EncodingPool, song: list[bytes], spec: EncoderSpec = SPEC) -> Heard:
    """An encode of the whole song, step by step."""
    sink = Heard(list(song))
    sink.encode = pool.open(spec, sink)
    sink.go_on()
    return sink


# -- the interface, with parrots for codecs ----------------------------------------------------------------------------


async def test_steps_are_answered_in_order(parrots: Make) -> None:
    """Each once, in a later turn of the loop; the config comes with the first packet at the latest."""
    recorder = Recorder()
    async with one(parrots, recorder) as pool:
        sink = Heard()
        encode = pool.open(SPEC, sink)
        assert active(recorder) == 1.0
        encode.step(b"")
        assert sink.said == 0
        await sink.until(1)
        encode.step(b"a", discontinuity=True)
        await sink.until(2)
        encode.step(b"b", last=True)
        await sink.until(3)
        assert sink.data == b"960:a1920:b1920:end"
        assert [result.config is None for result in sink.results] == [True, False, False]
        flags = [packet.discontinuity for result in sink.results for packet in result.packets]
        assert flags == [True, False, False]
        assert sink.results[1].lead == 3
        assert active(recorder) == 0.0
        assert spent(recorder, "audio") == pytest.approx(0.06)
        assert (spent(recorder, "cpu") or 0.0) > 0.0


async def test_one_encode_fails_alone(parrots: Make, caplog: pytest.LogCaptureFixture) -> None:
    """By the codec's word, by a fault in it, or at its very start; the neighbours do not notice."""
    recorder = Recorder()
    async with one(parrots, recorder) as pool:
        neighbour = sing(pool, [b"a"] * 20)
        broken = [sing(pool, [b"a", b"fail", b"b"]), sing(pool, [b"bug", b"b"])]
        broken.append(sing(pool, [b"a"], EncoderSpec("opus", 48000, 3, None)))
        for sink in broken:
            await sink.until(2 if sink is broken[0] else 1)
        await neighbour.until(20)
        assert {error.code for sink in broken for error in sink.errors} == {"transcoding_failed"}
        assert [(len(sink.results), len(sink.errors), sink.losses) for sink in broken] == [(1, 1, 0)] + [(0, 1, 0)] * 2
        assert neighbour.data.endswith(b"19200:a19200:end")
        assert active(recorder) == 0.0
    assert events(caplog) == ["codec.encode_failed"] * 3


async def test_full_is_full_until_one_ends(parrots: Make) -> None:
    """By its last step, by a failure or by a close."""
    async with one(parrots, most=1) as pool:
        for way in ("last", "failure", "close"):
            sink = Heard()
            encode = pool.open(SPEC, sink)
            with pytest.raises(ServiceError) as full:
                pool.open(SPEC, Heard())
            assert (full.value.code, full.value.retry_after) == ("transcoding_full", 2.0)
            if way == "close":
                encode.close()
            else:
                encode.step(b"fail" if way == "failure" else b"a", last=True)
                await sink.until(1)


async def test_after_a_close_there_is_silence(parrots: Make) -> None:
    """With a step at the worker, with one that waits, and with none; the worker forgets them and goes on."""
    recorder = Recorder()
    async with one(parrots, recorder) as pool:
        sinks = [Heard() for _ in range(5)]
        encodes = [pool.open(SPEC, sink) for sink in sinks]
        for encode in encodes[:4]:
            encode.step(b"a")
        for encode in encodes:
            encode.close()
            encode.close()
        assert active(recorder) == 0.0
        await sing(pool, [b"a", b"b"]).until(2)
        assert [sink.said for sink in sinks] == [0] * 5


async def test_everybody_gets_a_turn(parrots: Make) -> None:
    """Whoever has just been served waits until all others have been."""
    async with one(parrots) as pool:
        sinks = [sing(pool, [b"%d" % step for step in range(10)]) for _ in range(12)]
        await sinks[-1].until(5)
        assert all(sink.said >= 4 for sink in sinks)
        await asyncio.gather(*(sink.until(10) for sink in sinks))
        assert {sink.data for sink in sinks} == {sinks[0].data}


async def test_one_that_hangs_loses_all_of_its_encodes(parrots: Make) -> None:
    """Once each; meanwhile there is no room, and soon there is a worker again."""
    Parrot.free.clear()
    recorder = Recorder()
    try:
        with Journal() as journal:
            async with one(parrots, recorder, step_timeout=0.1, stop_timeout=0.1) as pool:
                rooms: list[str] = []

                class Asking(Heard):
                    def lost(self) -> None:
                        super().lost()
                        with pytest.raises(ServiceError) as full:
                            pool.open(SPEC, self)
                        rooms.append(f"{full.value.code} {(full.value.retry_after or 0) > 0}")

                sinks = [Asking() for _ in range(4)]
                encodes = [pool.open(SPEC, sink) for sink in sinks]
                for encode in encodes[:3]:
                    encode.step(b"hang")
                await asyncio.gather(*(sink.until(1) for sink in sinks))
                assert rooms == ["transcoding_full True"] * 4
                assert active(recorder) == 0.0
                for encode in encodes:
                    encode.close()
                await journal.until("codec.worker_restarted")
                await sing(pool, [b"a"]).until(1)
                assert [(sink.said, sink.losses) for sink in sinks] == [(1, 1)] * 4
    finally:
        Parrot.free.set()
    # A worker that takes its time to die is said to hang more than once.
    assert list(dict.fromkeys(journal.events))[:4] == [
        "codec.worker_started",
        "codec.worker_hung",
        "codec.worker_died",
        "codec.worker_restarted",
    ]


# -- with codecs -------------------------------------------------------------------------------------------------------


@cache
def songs() -> dict[str, bytes]:
    """Half a second: as WAV in 24 kHz mono, and as MP3 in 44.1 kHz stereo."""
    sound = np.random.default_rng(3).standard_normal(44100).cumsum()
    loud = (sound / np.abs(sound).max() * 12000).astype("<i2")
    made = Transcoder(EncoderSpec("mp3", 44100, 2, 128000))
    packets = made.feed(wav(0, 44100)[:40] + b"\xff\xff\xff\xff" + loud.tobytes()) + made.flush()
    return {"wav": wav(12000), "mp3": b"".join(packet.data for packet in packets)}


def steps(song: bytes, size: int) -> list[bytes]:
    return [song[at : at + size] for at in range(0, len(song), size)]


def alone(spec: EncoderSpec, song: list[bytes]) -> list[Packet]:
    """What a Transcoder makes of it in this process."""
    made = Transcoder(spec)
    packets = [packet for data in song for packet in made.feed(data)]
    return packets + made.flush()


def packets_of(sink: Heard) -> list[Packet]:
    return [packet for result in sink.results for packet in result.packets]


def real(kind: str, **settings: int) -> EncodingPool:
    return EncodingPool(Transcode(workers=KINDS[kind], **settings), Recorder())


@pytest.mark.asyncio(loop_factories=["uvloop"])  # it is the codecs that take the time, and they know no loop
@pytest.mark.parametrize("name", ["wav", "mp3"])
async def test_what_is_made_is_what_a_transcoder_makes(kind: str, name: str) -> None:
    """A hundred encodes in every form, all at once, in turns."""
    song = steps(songs()[name], 2500)
    expected = {spec: alone(spec, song) for spec in FORMS}
    async with real(kind, max_encodings=100) as pool:
        specs = [FORMS[number % len(FORMS)] for number in range(100)]
        sinks = [sing(pool, song, spec) for spec in specs]
        await asyncio.gather(*(sink.until(len(song)) for sink in sinks))
    assert all(packets_of(sink) == expected[spec] for spec, sink in zip(specs, sinks, strict=True))
    assert [sink.results[-1].config.spec for sink in sinks if sink.results[-1].config] == specs


async def test_what_is_no_song_fails(kind: str) -> None:
    """With a sentence of ours; a song beside it is made."""
    async with real(kind) as pool:
        nonsense, song = sing(pool, [b"<html>" * 5000] * 20), sing(pool, steps(songs()["mp3"], 4000))
        await song.until(len(steps(songs()["mp3"], 4000)))
        await nonsense.until(1)
        assert packets_of(nonsense) == []
        assert not song.errors


async def test_nothing_is_left_of_many(kind: str) -> None:
    """Files and threads are as many after 200 encodes as after a few."""
    song = songs()["mp3"][:2000]

    async def some(pool: EncodingPool, count: int) -> None:
        for number in range(count):
            sink = Heard()
            encode = pool.open(FORMS[number % len(FORMS)], sink)
            encode.step(song)
            if number % 3:
                await sink.until(1)
            encode.close()
        await sing(pool, [song]).until(1)

    async with real(kind) as pool:
        ids = [int(name.split()[1]) for name in pool.workers if kind == "processes"] + [os.getpid()]
        await some(pool, 30)
        before = [footprint(number) for number in ids]
        await some(pool, 200)
        gc.collect()
        assert [footprint(number) for number in ids] == before
        assert len(pool.workers) == {"processes": 1, "threads": min(2, len(os.sched_getaffinity(0)))}[kind]


def footprint(number: int) -> tuple[int, int]:
    """Open files and threads of a process; nothing where the system does not tell."""
    try:
        return len(os.listdir(f"/proc/{number}/fd")), len(os.listdir(f"/proc/{number}/task"))
    except OSError:
        return 0, 0
