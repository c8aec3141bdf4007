"""How long somebody waits for the first packet of a format that nobody has asked for before.

A frame of the song goes to a worker that is warm, as soon as the one before is answered, until a packet comes back.
Invariant: what is told is the sound that the codec needs, and the time from the last frame that it needed until the
packet was there, the way to the worker and back included. It must not know the worker.
"""

import time
from collections.abc import Sequence
from statistics import median

from gateway.bench.benches import BenchError
from gateway.bench.codecs import CODECS
from gateway.bench.report import Row
from gateway.bench.sink import Encoding
from gateway.bench.song import Song
from gateway.config.schema import Transcode
from gateway.encoding.pool import EncodingPool
from metrics.recorder import Recorder
from transcode.spec import EncoderSpec

ALLOWED_MS = 5.0
# Frames of MP3 that a codec cannot do without: its own frames are longer than one, or look ahead.
NEEDED = {"opus": 1, "flac": 1, "pcm": 1, "aac": 2, "mp3": 2}


async def measure(song: Song, codecs: Sequence[str], tries: int) -> list[Row]:
    """A row for each codec."""
    rows = []
    async with EncodingPool(Transcode(workers=1), Recorder()) as pool:
        for codec in codecs:
            found = [await once(pool, CODECS[codec], song.frames) for _ in range(tries)]
            rows.append(row(codec, [(frames * song.frame_seconds, wait) for frames, wait in found], song))
    return rows


async def once(pool: EncodingPool, spec: EncoderSpec, frames: Sequence[bytes]) -> tuple[int, float]:
    """How many frames it took, and seconds from the last of them to the packet."""
    encoding = Encoding(pool, spec)
    try:
        for number, frame in enumerate(frames, start=1):
            begin = time.perf_counter()
            if (await encoding.step(frame)).packets:
                return number, time.perf_counter() - begin
    finally:
        encoding.close()
    raise BenchError(f"{len(frames)} frames of the song made no packet of {spec.codec}: take more with --seconds.")


def row(codec: str, found: Sequence[tuple[float, float]], song: Song) -> Row:
    """`found` is, for each try, the sound that was needed and the wait, both in seconds. Judged is the worst."""
    whole = [(sound + wait) * 1e3 for sound, wait in found]
    waits = [wait * 1e3 for _, wait in found]
    target = NEEDED[codec] * song.frame_seconds * 1e3 + ALLOWED_MS
    spread = f"at most {max(whole):.1f}; waited {median(waits):.1f}"
    return Row(f"first {codec} packet", median(whole), "ms", target, spread, judged=max(whole), digits=1)
