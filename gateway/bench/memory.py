"""What live encodes hold: memory of a worker, and threads and processes, which shall not be more with more of them.

Invariant: each codec gets a worker of its own, looked at before the first and under all encodes, each of which has had
some seconds of the song. It must not know why memory is held.
"""

import os
from collections.abc import Callable, Sequence

from gateway.bench.codecs import CODECS
from gateway.bench.report import Row
from gateway.bench.sink import Encoding, process_id
from gateway.bench.song import Song
from gateway.bench.usage import children, resident, threads
from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder
from transcode.spec import EncoderSpec

SECONDS = 5.0
_MOST_MB = {"flac": 8.0}
_OTHERS_MB = 1.0
_MEGABYTE = 1e6


async def measure(song: Song, codecs: Sequence[str], encodes: int, tell: Callable[[str], None]) -> list[Row]:
    """A row for each codec, and one for threads and processes. Raises BenchError where there is no /proc."""
    rows, more = [], 0
    steps = song.first(SECONDS).steps()
    for codec in codecs:
        tell(codec)
        held, added = await opened(CODECS[codec], steps, encodes)
        more = max(more, added)
        most = _MOST_MB.get(codec, _OTHERS_MB)
        rows.append(Row(f"{codec} encode", held / encodes / _MEGABYTE, "MB", most, f"of {encodes} in one worker"))
    spread = "the most that any codec added"
    return [*rows, Row("threads and processes", more, "more", 0.0, spread, digits=0)]


async def opened(spec: EncoderSpec, steps: Sequence[bytes], encodes: int) -> tuple[int, int]:
    """Bytes that so many encodes add to their worker, and threads and processes, ours and the worker's."""
    async with EncodingPool(Transcode(workers=1, max_encodings=encodes), Recorder()) as pool:
        pid = process_id(pool)
        before, crowd = resident(pid), _crowd(pid)
        encodings = [Encoding(pool, spec) for _ in range(encodes)]
        for step in steps:
            for encoding in encodings:
                await encoding.step(step)
        held, added = resident(pid) - before, _crowd(pid) - crowd
        for encoding in encodings:
            encoding.close()
    return max(held, 0), added


def _crowd(worker: int) -> int:
    return sum(threads(pid) + children(pid) for pid in (os.getpid(), worker))
