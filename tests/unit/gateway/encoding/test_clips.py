"""Tests of the pool that has clips cut: with the real process, and with programs that behave badly.

Invariant under test: at most so many clips at once, a place comes back however a clip ends, and no process outlives its
use. The tests know what an answer looks like on the wire.
"""

import asyncio
import os
import signal
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from gateway.config.schema import Transcode
from gateway.encoding.clips import COMMAND, ClipPool
from gateway.errors import RequestError, ServiceError
from transcode.edit import Edit
from transcode.formats import FLAC, FORMATS, MP3, WAV
from transcode.spec import Wish
from transcode.wavheader import wav_header

SONG = wav_header(8000, 1) + bytes(range(250)) * 128
HALF = wav_header(8000, 1, 8000) + SONG[44:8044]
EDIT = Edit(duration=0.5)

# Programs that take an order and then do something else than they should. {0} is a file that they may leave.
_READ = """
import os, struct, sys, time
def order():
    size, length = struct.unpack(">IQ", sys.stdin.buffer.read(12))
    sys.stdin.buffer.read(size), sys.stdin.buffer.read(length)
def say(data):
    sys.stdout.buffer.write(data), sys.stdout.buffer.flush()
path = sys.argv[1]
"""
DIES = _READ + "open(path, 'a').write('x'); order(); os._exit(3)"
DIES_ONCE = (
    _READ
    + """
if not os.path.exists(path):
    open(path, 'a').write('x'); order(); os._exit(3)
from transcode.clipping import main
main()
"""
)
HANGS = _READ + "open(path, 'a').write(f'{os.getpid()} '); order(); time.sleep(300)"
BABBLES = _READ + "order(); say(struct.pack('>IQ', 3, 0) + b'abc'); order()"
BOASTS = _READ + "order(); say(struct.pack('>IQ', 1 << 31, 0)); order()"
DEAF = _READ + "sys.stdin.buffer.close(); os._exit(0)"


def acting(program: str, path: Path) -> tuple[str, ...]:
    return (sys.executable, "-c", program, str(path))


def pool(command: tuple[str, ...] = COMMAND, timeout: float = 50.0, **settings: int | float) -> ClipPool:
    return ClipPool(Transcode(**settings), command=command, timeout=timeout)


def alive(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return True
    return False


async def until(path: Path, words: int) -> list[int]:
    """The processes that have said in the file that they are at work."""
    async with asyncio.timeout(20):
        while True:
            found = path.read_text().split() if path.exists() else []
            if len(found) >= words:
                return [int(word) for word in found]
            await asyncio.sleep(0.01)


async def gone(pid: int) -> None:
    async with asyncio.timeout(20):
        while True:
            if not alive(pid):
                return
            await asyncio.sleep(0.01)


async def test_clips_are_cut() -> None:
    """One after the other by one process, in any format."""
    async with pool() as clips:
        assert await clips.cut(SONG, EDIT, WAV, Wish()) == HALF
        files = await asyncio.gather(*(clips.cut(SONG, EDIT, form, Wish()) for form in (FLAC, FORMATS["ogg"])))
        assert [file[:4] for file in files] == [b"fLaC", b"OggS"]
        assert clips.pending == 0
        assert len(clips._cutters) == 1


@pytest.mark.asyncio(loop_factories=["uvloop"])
async def test_a_long_song_passes() -> None:
    """More than any pipe holds, both ways, on the other loop."""
    sound = bytes(8 << 20)
    async with pool() as clips:
        assert await clips.cut(wav_header(48000, 2) + sound, Edit(), WAV, Wish()) == (
            wav_header(48000, 2, len(sound)) + sound
        )


async def test_nothing_is_started_before_it_is_needed() -> None:
    """Neither by the pool's beginning nor by what is refused at once."""
    async with pool(("no such program",), max_clip_seconds=2.0) as clips:
        for edit, param, says in (
            (Edit(duration=2.5), "duration", "at most 2 s long"),
            (Edit(start=-1), "start", "from 0 on"),
            (Edit(duration=float("nan")), "duration", "nan"),
        ):
            with pytest.raises(RequestError, match=says) as refused:
                await clips.cut(SONG, edit, WAV, Wish())
            assert (refused.value.code, refused.value.param) == ("invalid_input", param)
        with pytest.raises(RequestError, match="sample rates") as refused:
            await clips.cut(SONG, Edit(), MP3, Wish(sample_rate=1))
        assert (refused.value.code, refused.value.param) == ("unsupported_format", "sample_rate")
        assert clips.pending == 0


async def test_what_only_the_song_can_tell_is_told() -> None:
    """Where it ends, that it is too long, that its own rate has no such bitrate, and that it is none."""
    async with pool(max_clip_seconds=1.5) as clips:
        with pytest.raises(RequestError, match=r"only the first 1\.000 s") as refused:
            await clips.cut(SONG[: len(SONG) // 2 + 22], Edit(start=3), WAV, Wish())
        assert (refused.value.code, refused.value.param) == ("invalid_input", "start")
        with pytest.raises(RequestError, match=r"at most 1\.5 s") as refused:
            await clips.cut(SONG, Edit(), WAV, Wish())
        assert refused.value.param == "duration"
        with pytest.raises(ServiceError, match="cannot be cut") as failed:
            await clips.cut(b"<html>" * 20000, Edit(), WAV, Wish())
        assert failed.value.code == "transcoding_failed"
        assert await clips.cut(SONG, EDIT, WAV, Wish()) == HALF
        assert len(clips._cutters) == 1


async def test_a_dead_process_is_replaced(tmp_path: Path) -> None:
    """One that dies over a clip, and one that is killed while it waits for the next."""
    async with pool(acting(DIES_ONCE, tmp_path / "died")) as clips:
        assert await clips.cut(SONG, EDIT, WAV, Wish()) == HALF
        (idle,) = clips._idle
        assert idle._process is not None
        os.kill(idle._process.pid, signal.SIGKILL)
        await idle._process.wait()
        assert await clips.cut(SONG, EDIT, WAV, Wish()) == HALF


@pytest.mark.parametrize("program", [DIES, BABBLES, BOASTS, DEAF])
async def test_a_clip_that_kills_is_given_up(program: str, tmp_path: Path) -> None:
    """After two tries, whatever the process says or does instead of answering."""
    async with pool(acting(program, tmp_path / "starts")) as clips:
        with pytest.raises(ServiceError, match="could not be cut") as failed:
            await clips.cut(bytes(1 << 20), EDIT, WAV, Wish())
        assert failed.value.code == "transcoding_failed"
        assert clips.pending == 0
        if program is DIES:
            assert (tmp_path / "starts").read_text() == "xx"


async def test_no_process_can_be_started() -> None:
    """It is said, and not for ever tried."""
    async with pool(("no such program",)) as clips:
        with pytest.raises(ServiceError, match="could not be cut"):
            await clips.cut(SONG, EDIT, WAV, Wish())


async def test_there_is_no_room(tmp_path: Path) -> None:
    """So many may wait or be cut; the next one is refused at once, and a cancelled one makes room."""
    said = tmp_path / "pids"
    async with pool(acting(HANGS, said), clip_workers=2, max_clips=3) as clips:
        waiting = [asyncio.ensure_future(clips.cut(SONG, EDIT, WAV, Wish())) for _ in range(3)]
        pids = await until(said, 2)
        assert clips.pending == 3
        with pytest.raises(ServiceError, match="Too many clips") as refused:
            await clips.cut(SONG, EDIT, WAV, Wish())
        assert refused.value.code == "overloaded"
        assert refused.value.retry_after
        for task in waiting:
            task.cancel()
        await asyncio.wait(waiting)
        assert clips.pending == 0
        assert all(task.cancelled() for task in waiting)
        for pid in pids:
            await gone(pid)


async def test_a_hanging_process_is_given_up(tmp_path: Path) -> None:
    """After its time, and then the next clip gets another."""
    said = tmp_path / "pids"
    async with pool(acting(HANGS, said), timeout=2.0) as clips:
        for words in (1, 2):
            with pytest.raises(ServiceError, match="not cut in time") as late:
                await clips.cut(SONG, EDIT, WAV, Wish())
            assert late.value.code == "overloaded"
            await gone((await until(said, words))[-1])


async def test_the_end_ends_everything(tmp_path: Path) -> None:
    """Processes, and with them clips that are being cut or wait; afterwards there are none."""
    said = tmp_path / "pids"
    clips = pool(acting(HANGS, said))
    async with clips:
        waiting = [asyncio.ensure_future(clips.cut(SONG, EDIT, WAV, Wish())) for _ in range(2)]
        (pid,) = await until(said, 1)
    assert not alive(pid)
    for task in waiting:
        with pytest.raises(ServiceError, match="going away") as ended:
            await task
        assert ended.value.code == "going_away"
    with pytest.raises(ServiceError, match="going away"):
        await clips.cut(SONG, EDIT, WAV, Wish())


async def test_an_end_while_a_process_starts(tmp_path: Path) -> None:
    """Its order comes too late, and it is not left behind."""
    clips = pool(acting(HANGS, tmp_path / "pids"))
    async with clips:
        waiting = asyncio.ensure_future(clips.cut(SONG, EDIT, WAV, Wish()))
        # A turn of the loop, in which it begins to start.
        await asyncio.sleep(0)
        assert clips._cutters
    with pytest.raises(ServiceError, match="going away"):
        await waiting
    (cutter,) = clips._cutters
    await cutter.ended()
    assert cutter.gone
