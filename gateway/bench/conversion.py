"""Processor time of whole conversions, beside the `ffmpeg` program that does the same to the same song.

Invariant: both are asked for the same, and take turns in going first; what each takes to start, seen on a tenth of
a second of the song, is taken off. Processor time is the kernel's, of programs that have ended.
It must not know how either of them works.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from gateway.bench.benches import BenchError
from gateway.bench.figures import Pairs
from gateway.bench.report import Row
from gateway.bench.song import STEP_SECONDS, Song
from gateway.bench.usage import children_cpu, one_processor

START_SECONDS = 0.1
_TIMEOUT = 600.0
_NO_FFMPEG = """the ffmpeg program is not installed, and it is what the processor time is compared with.
Install it (apt-get install ffmpeg, brew install ffmpeg), or measure other parts with --only."""


@dataclass(frozen=True, slots=True)
class Conversion:
    """`settings` are ffmpeg's words for the same result. `most` is the target as a multiple of ffmpeg's time.

    It is None for PCM, where there is next to nothing to compare: there the target is a difference.
    """

    name: str
    form: str
    sample_rate: int
    channels: int
    bitrate: int
    most: float | None
    settings: str


_OPUS = "-c:a libopus -application audio -frame_duration 20 -vbr on -compression_level 10 -f ogg"
_PCM = "-c:a pcm_s16le -f s16le"
_PCM_MOST = 1.0  # ms for each second of audio
CONVERSIONS = (
    Conversion("opus 96k", "ogg", 48000, 2, 96000, 1.05, _OPUS),
    # As ffmpeg comes: it looks for quantisers the long way, which ours does not, because it is farther from the song.
    Conversion("aac 128k", "aac", 48000, 2, 128000, 1.05, "-c:a aac -f adts"),
    Conversion("flac", "flac", 48000, 2, 0, 1.05, "-c:a flac -compression_level 2 -sample_fmt s16 -f flac"),
    Conversion("mp3 128k", "mp3", 48000, 2, 128000, 1.2, "-c:a libmp3lame -compression_level 5 -f mp3"),
    Conversion("pcm 48k stereo", "pcm", 48000, 2, 0, None, _PCM),
    Conversion("pcm 24k mono", "pcm", 24000, 1, 0, None, _PCM),
    # The short way in both of them.
    Conversion("aac 128k, fast coder", "aac", 48000, 2, 128000, 1.05, "-c:a aac -aac_coder fast -f adts"),
)
RESAMPLED = (CONVERSIONS[0], CONVERSIONS[4])  # what is made of a song of 44.1 kHz, where that makes a difference


def find_ffmpeg() -> str:
    """The program. Raises BenchError without it."""
    program = shutil.which("ffmpeg")
    if program is None:
        raise BenchError(_NO_FFMPEG)
    return program


def measure(song: Song, conversions: Sequence[Conversion], rounds: int, tell: Callable[[str], None]) -> list[Row]:
    """A row for each of them. Raises BenchError when there is no ffmpeg, or a program fails."""
    ffmpeg = find_ffmpeg()
    with tempfile.TemporaryDirectory() as folder, one_processor():
        long, short = Path(folder, "song.mp3"), Path(folder, "short.mp3")
        long.write_bytes(song.data)
        short.write_bytes(song.first(START_SECONDS).data)
        step = round(len(song.data) / song.seconds * STEP_SECONDS)
        rows = []
        for conversion in conversions:
            tell(f"{conversion.name} of {song.sample_rate / 1000:g} kHz")
            pairs = Pairs([], [], [], [])
            for number in range(rounds):
                turns = [
                    (pairs.ours, ours(conversion, long, step)),
                    (pairs.theirs, theirs(ffmpeg, conversion, long)),
                    (pairs.our_starts, ours(conversion, short, step)),
                    (pairs.their_starts, theirs(ffmpeg, conversion, short)),
                ]
                for found, command in turns if number % 2 == 0 else reversed(turns):
                    found.append(cost(command))
            rows.append(row(conversion, pairs, song))
        return rows


def ours(conversion: Conversion, song: Path, step: int) -> list[str]:
    """The command that converts as a worker does."""
    numbers = (conversion.sample_rate, conversion.channels, conversion.bitrate, step)
    program = [sys.executable, "-P", "-m", "gateway.bench.solo"]
    return [*program, str(song), conversion.form, *map(str, numbers), os.devnull]


def theirs(ffmpeg: str, conversion: Conversion, song: Path) -> list[str]:
    """ffmpeg's command for the same."""
    target = ["-ar", str(conversion.sample_rate), "-ac", str(conversion.channels)]
    if conversion.bitrate:
        target += ["-b:a", str(conversion.bitrate)]
    source = [ffmpeg, "-v", "error", "-nostdin", "-y", "-threads", "1", "-i", str(song)]
    return [*source, "-threads", "1", *target, *conversion.settings.split(), os.devnull]


def cost(command: Sequence[str]) -> float:
    """Seconds of processor time. Raises BenchError when it fails."""
    # As a worker's: our own packages are where we have found them, and algebra that nobody uses has no threads.
    search = os.pathsep.join(path or "." for path in sys.path)
    environment = {**os.environ, "PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1"}
    before = children_cpu()
    try:
        subprocess.run(  # noqa: S603 - the programs that are measured
            command, stdin=subprocess.DEVNULL, capture_output=True, env=environment, timeout=_TIMEOUT, check=True
        )
    except subprocess.CalledProcessError as error:
        said = error.stderr.decode(errors="replace").strip().splitlines() or ["nothing"]
        raise BenchError(f"{' '.join(command)} has failed and said: {said[-1]}") from None
    except subprocess.TimeoutExpired:
        raise BenchError(f"{' '.join(command)} has not ended after {_TIMEOUT:g} s.") from None
    return children_cpu() - before


def row(conversion: Conversion, pairs: Pairs, song: Song) -> Row:
    """The figure of a conversion; for people, what both took in ms for each second of audio, and how rounds differ."""
    name = f"{conversion.name} of {song.sample_rate / 1000:g} kHz"
    mine, other = (seconds / song.seconds * 1e3 for seconds in pairs.best())
    ratios = pairs.ratios()
    both = f"{mine:.2f} : {other:.2f} ms/s; rounds {min(ratios):.2f}, {median(ratios):.2f}, {max(ratios):.2f} x"
    if conversion.most is None:
        return Row(name, mine - other, "ms/s more", _PCM_MOST, both)
    return Row(name, pairs.ratio(), "x", conversion.most, both)
