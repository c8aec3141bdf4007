"""How many encodes one processor carries: processor time of a worker under many of them, in real time.

Invariant: the time is the kernel's of the whole worker process, so reading and writing messages is in it; the songs
come a tenth of a second at once, each at another moment, as they do from a provider.
It must not know codecs.
"""

import asyncio
import random
import time
from collections.abc import Sequence

from gateway.bench.codecs import OPUS
from gateway.bench.figures import percentile
from gateway.bench.report import Row
from gateway.bench.sink import Encoding, process_id
from gateway.bench.song import Song
from gateway.bench.usage import cpu_seconds
from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder

LEAST = 50.0
SLICE_SECONDS = 0.1
_LATE_MS = 100.0


async def measure(song: Song, encodes: int, seconds: float) -> list[Row]:
    """What so many encodes of the song's first `seconds` take. Raises BenchError where there is no /proc."""
    config = Transcode(workers=1, max_encodings=encodes)
    slices = song.first(seconds).steps(SLICE_SECONDS)
    dice = random.Random(1)  # noqa: S311 - the same moments in every run
    waits: list[float] = []
    async with EncodingPool(config, Recorder()) as pool:
        pid = process_id(pool)
        before = cpu_seconds(pid)
        async with asyncio.TaskGroup() as tasks:
            for _ in range(encodes):
                tasks.create_task(live(pool, slices, dice.random() * SLICE_SECONDS, waits))
        taken = cpu_seconds(pid) - before
    return rows(taken, encodes * song.first(seconds).seconds, encodes, waits)


async def live(pool: EncodingPool, slices: Sequence[bytes], delay: float, waits: list[float]) -> None:
    """One song in real time; adds to `waits` how many seconds each slice took."""
    encoding, loop = Encoding(pool, OPUS), asyncio.get_running_loop()
    begin = loop.time() + delay
    try:
        for number, data in enumerate(slices):
            await asyncio.sleep(begin + number * SLICE_SECONDS - loop.time())
            start = time.perf_counter()
            await encoding.step(data)
            waits.append(time.perf_counter() - start)
    finally:
        encoding.close()


def rows(cpu: float, sound: float, encodes: int, waits: Sequence[float]) -> list[Row]:
    """`cpu` and `sound` are seconds, of all encodes together."""
    each = cpu / sound * 1e3
    late = percentile(waits, 0.99) * 1e3
    return [
        Row("opus, processor time", each, "ms/s", 1e3 / LEAST, f"of a worker with {encodes}, live"),
        Row(
            "opus, for each processor",
            1e3 / each if each else 0.0,
            "encodes",
            LEAST,
            "1000 by that",
            least=True,
            digits=0,
        ),
        Row("opus, wait for a slice, p99", late, "ms", _LATE_MS, f"at most {max(waits) * 1e3:.0f}", digits=1),
    ]
