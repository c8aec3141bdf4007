"""What encoding elsewhere costs: a step's way there and back, the first packet, and the loop's delay under 32 encodes.

    python -m tests.bench.encodings [--encodes 32] [--seconds 6] [--workers 1] [--loop uvloop]

Songs come in real time, a tenth of a second at once, each encode at another moment; the loop's delay is how late a
timer of 1 ms fires. With `--workers 0` it is threads.
Invariant: it judges nothing, since machines and their neighbours differ; it prints, and idle figures beside busy ones.
"""

import argparse
import asyncio
import random
import time
from collections.abc import Sequence
from statistics import median

import numpy as np
import uvloop

from gateway.config.schema import Transcode
from gateway.encoding.encode import Encode
from gateway.encoding.pool import EncodingPool
from gateway.errors import WavegateError
from metrics.recorder import Recorder
from transcode.framer import Framer
from transcode.packet import Encoded
from transcode.spec import EncoderSpec
from transcode.transcoder import Transcoder
from transcode.wavheader import wav_header

OPUS = EncoderSpec("opus", 48000, 2, 96000)
PCM = EncoderSpec("pcm", 44100, 2, None)
SPECS = [
    PCM,
    OPUS,
    EncoderSpec("flac", 44100, 2, None),
    EncoderSpec("aac", 44100, 2, 128000),
    EncoderSpec("mp3", 44100, 2, 192000),
]
SLICE = 0.1
CALLS = 2000


class Waiting:
    """A sink to await."""

    def __init__(self) -> None:
        self.answer: asyncio.Future[Encoded] = asyncio.get_running_loop().create_future()

    def encoded(self, result: Encoded) -> None:
        self.answer.set_result(result)

    def failed(self, error: WavegateError) -> None:
        self.answer.set_exception(error)

    def lost(self) -> None:
        self.answer.set_exception(RuntimeError("the worker has died"))

    async def step(self, encode: Encode, data: bytes) -> Encoded:
        self.answer = asyncio.get_running_loop().create_future()
        encode.step(data)
        return await asyncio.wait_for(self.answer, 10)


def frames(seconds: float) -> list[bytes]:
    """Frames of 26 ms of an MP3 at 128 kbit/s, of a chord and some noise."""
    time_ = np.arange(round(44100 * seconds)) / 44100
    chord = sum(np.sin(2 * np.pi * pitch * time_) for pitch in (220, 277, 330)) * 3000
    noise = np.random.default_rng(1).standard_normal(len(time_)) * 1000 * (np.sin(9 * time_) > 0)
    sound = np.repeat((chord + noise).astype("<i2"), 2).tobytes()
    made = Transcoder(EncoderSpec("mp3", 44100, 2, 128000))
    packets = made.feed(wav_header(44100, 2) + sound) + made.flush()
    framer = Framer()
    return [frame.data for packet in packets for frame in framer.feed(packet.data)]


async def steps(pool: EncodingPool) -> None:
    """The way there and back, with next to nothing to do at its end; then with ten at once."""
    sink = Waiting()
    encode = pool.open(PCM, sink)
    await sink.step(encode, b"")
    times, begin = [], time.process_time()
    for _ in range(CALLS):
        start = time.perf_counter()
        await sink.step(encode, b"")
        times.append(time.perf_counter() - start)
    cost = (time.process_time() - begin) / CALLS
    encode.close()
    print(f"an empty step     {shown(times, 1e6)} us, {cost * 1e6:.0f} us of the gateway's processor")


async def first_packets(pool: EncodingPool, song: list[bytes]) -> None:
    """From `open` to the first packet, fed frame by frame as fast as answers come."""
    for spec in SPECS:
        times, fed = [], 0
        for _ in range(40):
            sink, start = Waiting(), time.perf_counter()
            encode = pool.open(spec, sink)
            fed = 1
            while not (await sink.step(encode, song[fed - 1])).packets:
                fed += 1
            times.append(time.perf_counter() - start)
            encode.close()
        print(f"first {spec.codec:<5}packet {shown(times, 1e3)} ms, after {fed} frames")


async def sing(pool: EncodingPool, song: list[bytes], delay: float, seconds: float, late: list[float]) -> None:
    """One song in real time; how long each slice takes."""
    sink, loop = Waiting(), asyncio.get_running_loop()
    encode = pool.open(OPUS, sink)
    begin, at = loop.time() + delay, 0
    while (due := at * SLICE) < seconds:
        await asyncio.sleep(begin + due - loop.time())
        first, last = (round(number * SLICE * 44100 / 1152) for number in (at, at + 1))
        start = time.perf_counter()
        await sink.step(encode, b"".join(song[first:last]))
        late.append(time.perf_counter() - start)
        at += 1
    encode.close()


async def ticks(seconds: float) -> list[float]:
    """How late a timer of 1 ms fires."""
    found: list[float] = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end:
        await asyncio.sleep(0.001)
        found.append(time.perf_counter() - now - 0.001)  # uvloop's own clock counts whole milliseconds
    return found


async def busy(pool: EncodingPool, recorder: Recorder, song: list[bytes], encodes: int, seconds: float) -> None:
    """The loop's delay with nothing to do, and with many encodes."""
    print(f"loop, idle        {shown(await ticks(seconds), 1e3)} ms")
    late: list[float] = []
    dice = random.Random(1)
    before = recorder.registry.get_sample_value("wavegate_transcode_cpu_seconds_total", {"codec": "opus"}) or 0.0
    tasks = [asyncio.create_task(sing(pool, song, dice.random() * SLICE, seconds, late)) for _ in range(encodes)]
    print(f"loop, {encodes:>3} encodes {shown(await ticks(seconds), 1e3)} ms")
    await asyncio.gather(*tasks)
    after = recorder.registry.get_sample_value("wavegate_transcode_cpu_seconds_total", {"codec": "opus"}) or 0.0
    print(
        f"a slice of 100 ms {shown(late, 1e3)} ms, {(after - before) / seconds / encodes * 1e3:.1f} ms/s of a processor"
    )


def shown(values: Sequence[float], scale: float) -> str:
    """The middle and the tail."""
    ranked = sorted(values)
    at = [ranked[min(len(ranked) - 1, int(len(ranked) * share))] * scale for share in (0.99, 0.999)]
    return f"p50 {median(ranked) * scale:7.2f}  p99 {at[0]:7.2f}  p99.9 {at[1]:7.2f}  max {ranked[-1] * scale:7.2f}"


async def run(options: argparse.Namespace) -> None:
    song, recorder = frames(options.seconds + 1), Recorder()
    start = time.perf_counter()
    async with EncodingPool(Transcode(workers=options.workers), recorder) as pool:
        print(f"ready in {time.perf_counter() - start:.2f} s: {', '.join(pool.workers)}, {options.loop}")
        await steps(pool)
        await first_packets(pool, song)
        await busy(pool, recorder, song, options.encodes, options.seconds)


def main() -> None:
    """Parses the command line and measures."""
    parser = argparse.ArgumentParser(description="Measures what encoding in workers costs.")
    parser.add_argument("--encodes", type=int, default=32)
    parser.add_argument("--seconds", type=float, default=6.0)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--loop", choices=["asyncio", "uvloop"], default="uvloop")
    options = parser.parse_args()
    (uvloop.run if options.loop == "uvloop" else asyncio.run)(run(options))


if __name__ == "__main__":
    main()
