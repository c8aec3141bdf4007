"""A worker as its supervisor sees it: real processes that speak the workers' part, or fail to.

Invariant under test: what it says is known, however it ends its end is known, and nothing of it is left.
It must not know a gateway: a stand-in serves.
"""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from gateway.workers import worker as module
from gateway.workers.listening import Listening
from gateway.workers.messages import Ready, line
from gateway.workers.worker import Worker, command, environment
from metrics.merging import Reader
from tests.support.relay import within


@pytest.fixture
async def doors() -> AsyncIterator[Listening]:
    made = await asyncio.to_thread(Listening, "127.0.0.1", 0, 1)
    yield made
    made.close()


async def started(doors: Listening, *how: str) -> Worker:
    worker = Worker(1)
    line = [sys.executable, "-m", "tests.support.standin", *how]
    await worker.start(line, environment(os.environ), doors.take(0))
    return worker


async def reloaded(worker: Worker, times: int) -> None:
    """Until it has, so often."""
    async with asyncio.timeout(20.0), aiohttp.ClientSession() as client:
        while True:
            async with client.get(f"{worker.internal}/metrics") as answer:
                if Reader().read(await answer.text())["wavegate_upstream_retries_total", ()] == times:
                    return


async def test_a_life_in_good_order(doors: Listening) -> None:
    """It serves at the socket that it was handed, reloads when it can, drains, and its last word is heard."""
    worker = await started(doors)
    worker.reload()
    assert await worker.settled(20.0)
    assert (worker.public, worker.internal.startswith("http://127.0.0.1:")) == ("http://1", True)
    assert worker.ready_at > 0
    reader, writer = await asyncio.open_connection("127.0.0.1", doors.port)
    assert await within(reader.readline()) == f"{worker.pid}\n".encode()
    writer.close()
    await reloaded(worker, 1)
    worker.reload()
    await reloaded(worker, 2)
    assert not worker.leaving.is_set()
    worker.drain()
    assert await within(asyncio.shield(worker.ended)) == 0
    assert worker.page is not None
    assert Reader().read(worker.page)["wavegate_listener_joins_total", ()] == 1.0
    worker.drain()
    worker.kill()
    worker.stop()


async def test_one_that_stays_stops_when_it_is_told(doors: Listening) -> None:
    """Draining takes its time; the supervisor's word ends it at once, in good order."""
    worker = await started(doors, "stays")
    assert await worker.settled(20.0)
    worker.drain()
    worker.stop()
    assert await within(asyncio.shield(worker.ended)) == 0
    assert worker.page is not None


async def test_one_that_is_killed_has_no_last_word(doors: Listening) -> None:
    """Its end is known, with the signal; from then on it accepts nothing."""
    worker = await started(doors)
    assert await worker.settled(20.0)
    worker.kill()
    assert await within(asyncio.shield(worker.ended)) == -signal.SIGKILL
    assert worker.leaving.is_set()
    assert worker.page is None


async def test_one_that_dies_at_its_start_has_not_settled(doors: Listening) -> None:
    """It is not waited for, and its exit code is told."""
    worker = await started(doors, "dies")
    assert not await worker.settled(20.0)
    assert await within(asyncio.shield(worker.ended)) == 2


async def test_one_that_is_not_ready_in_time_has_not_settled(doors: Listening) -> None:
    """The time is bounded."""
    worker = await started(doors, "hangs")
    assert not await worker.settled(0.05)
    worker.kill()
    await within(asyncio.shield(worker.ended))


async def test_a_program_that_is_not_there_is_the_systems_error(doors: Listening, tmp_path: Path) -> None:
    """Nothing is left of the attempt."""
    worker = Worker(1)
    with pytest.raises(FileNotFoundError):
        await worker.start([str(tmp_path / "none")], {}, [])


async def test_a_start_that_is_given_up_leaves_no_process(doors: Listening, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cancelled between the process and its line, the process is killed and waited for."""

    async def cancelled(*args: object, **options: object) -> None:
        raise asyncio.CancelledError

    monkeypatch.setattr(asyncio.get_running_loop(), "create_unix_connection", cancelled)
    worker = Worker(1)
    with pytest.raises(asyncio.CancelledError):
        await worker.start([sys.executable, "-c", "import time; time.sleep(60)"], environment(os.environ), [])
    assert worker.ended.result() == -signal.SIGKILL


@pytest.mark.parametrize("said", ["print('x', file=line)", "line.write('x' * (9 << 20))"])
async def test_one_that_says_what_is_no_word_is_killed(said: str) -> None:
    """It is broken, or none of ours; what it says is not kept without end."""
    program = (
        "import os, json, socket, time\n"
        "told = json.loads(os.environ['WAVEGATE_WORKER'])\n"
        f"line = socket.socket(fileno=told['control']).makefile('w')\n{said}\nline.flush()\ntime.sleep(60)"
    )
    worker = Worker(1)
    await worker.start([sys.executable, "-c", program], environment(os.environ), [])
    assert await within(asyncio.shield(worker.ended)) == -signal.SIGKILL


async def test_a_child_that_keeps_the_line_open_does_not_hide_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """The process has ended, and that is what counts; its words so far have been heard, in any pieces."""
    monkeypatch.setattr(module, "_LINE_SECONDS", 0.05)
    word = line(Ready("a", "b")).decode()
    program = (
        "import os, json, socket, subprocess, time\n"
        "told = json.loads(os.environ['WAVEGATE_WORKER'])\n"
        "line = socket.socket(fileno=told['control'])\n"
        f"line.send({word[:9].encode()!r}); time.sleep(0.05); line.send({word[9:].encode()!r})\n"
        "subprocess.Popen(['sleep', '1'], pass_fds=[line.fileno()])\n"
    )
    worker = Worker(1)
    await worker.start([sys.executable, "-c", program], environment(os.environ), [])
    assert await worker.settled(20.0)
    assert await within(asyncio.shield(worker.ended)) == 0


def test_a_workers_command_line_holds_no_secret() -> None:
    """Flags only; the packages are found where ours are, the rest of the environment goes along."""
    assert command(["--port", "0"])[1:] == ["-P", "-m", "gateway", "serve", "--port", "0"]
    given = environment({"DASHSCOPE_API_KEY": "sk-x", "PYTHONPATH": "elsewhere", "NOTIFY_SOCKET": "/run/notify"})
    assert "NOTIFY_SOCKET" not in given
    assert given["DASHSCOPE_API_KEY"] == "sk-x"
    assert sys.path[-1] in given["PYTHONPATH"]
