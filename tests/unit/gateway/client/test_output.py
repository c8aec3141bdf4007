"""Where the audio goes: a file or a pipe, written off the loop.

Invariant under test: what was written is there when it is closed, and neither a full pipe nor a closed one stops the
program. The files and pipes are real.
"""

import asyncio
import io
import os
import threading
from pathlib import Path

import pytest

from gateway.client.output import Output


async def test_a_file_appears_with_the_first_byte_and_grows(tmp_path: Path) -> None:
    """Nothing is created for a song without sound, and what was written can be read along."""
    path = tmp_path / "song.mp3"
    output = Output(path)
    assert not await asyncio.to_thread(path.exists)
    await output.write(b"one")
    assert await asyncio.to_thread(path.read_bytes) == b"one"
    await output.write(b"two")
    await output.close()
    assert await asyncio.to_thread(path.read_bytes) == b"onetwo"
    assert output.bytes == 6


async def test_closing_without_a_byte_leaves_no_file(tmp_path: Path) -> None:
    """An order that failed leaves the directory as it was."""
    output = Output(tmp_path / "song.mp3")
    await output.close()
    assert await asyncio.to_thread(os.listdir, tmp_path) == []


async def test_a_stream_of_the_caller_stays_open() -> None:
    """Standard output belongs to the process."""
    stream = io.BytesIO()
    output = Output(None, stream)
    await output.write(b"one")
    await output.close()
    assert stream.getvalue() == b"one"


async def test_a_disk_that_refuses_is_an_error(tmp_path: Path) -> None:
    """What cannot be opened is told with the first write."""
    output = Output(tmp_path / "missing" / "song.mp3")
    with pytest.raises(FileNotFoundError):
        await output.write(b"one")
    await output.close()


async def test_a_broken_pipe_is_told_once_and_flushes_quietly_afterwards() -> None:
    """After the reader has gone, Python's flush at exit finds nothing to complain about."""
    reading, writing = os.pipe()
    os.close(reading)
    pipe = os.fdopen(writing, "wb")
    output = Output(None, pipe)
    with pytest.raises(BrokenPipeError):
        await output.write(b"one")
    await output.close()
    await asyncio.to_thread(pipe.close)


async def test_the_loop_runs_while_a_pipe_is_full_and_closing_does_not_wait_for_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A reader that takes nothing stops neither the loop nor the end."""
    monkeypatch.setattr("gateway.client.output.CLOSE_SECONDS", 0.05)
    free, begun = threading.Event(), threading.Event()

    class Stuck(io.BytesIO):
        def write(self, data: object) -> int:
            begun.set()
            free.wait(5.0)
            return 0

    output = Output(None, Stuck())
    writing = asyncio.ensure_future(output.write(b"one"))
    assert await asyncio.to_thread(begun.wait, 5.0)
    async with asyncio.timeout(5.0):
        await output.close()
    assert not writing.done()
    free.set()
    await asyncio.wait([writing], timeout=5.0)
    assert writing.done()


async def test_a_write_that_was_cancelled_is_finished_before_the_file_is_closed(tmp_path: Path) -> None:
    """Ctrl-C in the middle of a write loses nothing of it."""
    path = tmp_path / "song.mp3"
    output = Output(path)
    writing = asyncio.ensure_future(output.write(b"x" * 1_000_000))
    await asyncio.sleep(0)
    writing.cancel()
    await asyncio.wait([writing])
    await output.close()
    assert await asyncio.to_thread(lambda: path.stat().st_size) == output.bytes
