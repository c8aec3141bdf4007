"""A worker process as the loop has it: started, heard, killed and waited for, and told no secret.

Invariant under test: however it ends, that is noticed once and it is waited for.
It must not know encodes; the program is one without codecs, or none of ours at all.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from gateway.encoding.process import WorkerProcess, command
from tests.support.parrots import SPEC, WITHIN, parrot_process
from tests.support.relay import within
from transcode.messages import Answer, Close, Done, Step


class Watch:
    """What a worker tells, and the worker."""

    def __init__(self, make: Callable[..., Any]) -> None:
        self.answers: list[Answer] = []
        self.losses = 0
        self.news = asyncio.Event()
        self.worker: WorkerProcess = make(self._answered, self._lost)

    def _answered(self, answer: Answer) -> None:
        self.answers.append(answer)
        self.news.set()

    def _lost(self) -> None:
        self.losses += 1

    async def start(self) -> bool:
        return await within(self.worker.start())

    async def answer(self) -> Answer:
        await within(self.news.wait())
        self.news.clear()
        return self.answers[-1]


def program(text: str) -> Watch:
    """A worker that is a few lines of Python."""
    return Watch(parrot_process(sys.executable, "-c", text))


async def test_a_step_and_its_answer() -> None:
    """Stopped, it ends by itself; what is sent then goes nowhere."""
    watch = Watch(parrot_process())
    assert watch.worker.name == "no process"
    assert await watch.start()
    assert watch.worker.name.startswith("pid ")
    watch.worker.send(Step(1, b"a", spec=SPEC))
    assert isinstance(await watch.answer(), Done)
    assert not await watch.worker.ended(0.001)
    assert await within(watch.worker.stop(WITHIN)) == "exit 0"
    assert watch.losses == 1
    watch.worker.send(Close(1))
    watch.worker.kill()
    assert await watch.worker.ended(0.0)


async def test_a_crash_is_noticed_once() -> None:
    """By the end of the socket, which comes at once; the signal is named."""
    watch = Watch(parrot_process())
    await watch.start()
    watch.worker.send(Step(1, b"crash", spec=SPEC))
    assert await watch.worker.ended(WITHIN)
    assert watch.losses == 1
    assert await within(watch.worker.stop(WITHIN)) == "SIGSEGV"
    assert watch.losses == 1


async def test_one_that_does_not_end_is_killed() -> None:
    """A process that is halted hears nothing."""
    watch = Watch(parrot_process())
    await watch.start()
    os.kill(int(watch.worker.name.split()[1]), signal.SIGSTOP)
    assert await within(watch.worker.stop(0.05)) == "SIGKILL"


async def test_one_that_ends_at_once_is_not_ready() -> None:
    """It was never of use, so nothing is lost."""
    watch = program("raise SystemExit(3)")
    assert not await watch.start()
    assert await within(watch.worker.stop(WITHIN)) == "exit 3"
    assert watch.losses == 0


async def test_one_that_is_not_there_cannot_start() -> None:
    """Nor be waited for."""
    watch = Watch(parrot_process(f"{sys.executable}-that-is-not-there"))
    with pytest.raises(OSError):
        await watch.start()
    watch.worker.kill()
    assert await within(watch.worker.stop(WITHIN)) == "not started"


async def test_one_that_talks_nonsense_is_hung_up_on() -> None:
    """Before it is ready and after."""
    talk = "import os, sys; os.write(0, bytes.fromhex({!r})); os.read(0, 1)"
    assert not await (nonsense := program(talk.format("ffffffff"))).start()
    assert await within(nonsense.worker.stop(WITHIN)) == "exit 0"
    ready = "0000000791a55265616479"
    watch = program(talk.format(ready + ready + "00000001c1"))
    await watch.start()
    assert await watch.worker.ended(WITHIN)
    await within(watch.worker.stop(WITHIN))


async def test_it_gets_no_key_of_ours() -> None:
    """Its environment has what an interpreter needs, and the way to our packages."""
    given = {**os.environ, "DASHSCOPE_API_KEY": "sk-1", "WAVEGATE__METRICS__TOKEN": "sk-2", "LC_ALL": "C.UTF-8"}
    text = "import os; raise SystemExit('sk-' in str(os.environ) or os.environ['LC_ALL'] != 'C.UTF-8')"
    worker = WorkerProcess([sys.executable, "-c", text], lambda _: None, lambda: None, given)
    assert not await within(worker.start())
    assert await within(worker.stop(WITHIN)) == "exit 0"


def test_the_command_line() -> None:
    """The real worker, with or without a processor of its own; nothing is imported from the working directory."""
    assert command(None) == [sys.executable, "-P", "-m", "transcode.worker"]
    assert command(3) == [*command(None), "3"]
