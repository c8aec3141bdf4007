"""Programs beside a bench: heard, and ended, also those that do not want to.

Invariant under test: none outlives its context.
It must not know which programs there are.
"""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from gateway.bench import programs
from gateway.bench.benches import BenchError
from gateway.bench.programs import program
from tests.house.programs import Program


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The source of the module `parrot`, which can be imported by programs."""
    monkeypatch.syspath_prepend(str(tmp_path))
    return tmp_path / "parrot.py"


def gone(pid: int) -> bool:
    """Whether there is no such process."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def ended(pid: int) -> bool:
    """Whether it is gone, or waits for somebody to take note of that."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


async def test_it_is_heard_and_ended(module: Path) -> None:
    """A line is found, and with it what is in it; it stands aside."""
    module.write_text("import sys, time; print('hello'); print('at 4711', flush=True); time.sleep(60)")
    async with program("parrot", aside=True) as parrot:
        assert (await parrot.says(r"at (\d+)"))[1] == "4711"
        assert os.getpriority(os.PRIO_PROCESS, parrot.pid) == 19
    assert gone(parrot.pid)


async def test_one_that_will_not_end_is_killed(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After its time."""
    monkeypatch.setattr(programs, "_END_SECONDS", 0.05)
    module.write_text(
        "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); time.sleep(60)"
    )
    async with program("parrot") as parrot:
        await parrot.says("ready")
    assert gone(parrot.pid)


async def test_it_answers(module: Path) -> None:
    """Line for line; an answer that does not come is told."""
    module.write_text(
        "import sys\nfor line in sys.stdin:\n    print(line.strip() * 2, flush=True)\n    sys.stdin.readline()"
    )
    async with program("parrot") as parrot:
        assert await parrot.ask(b"hi", 20.0) == b"hihi\n"
        with pytest.raises(BenchError, match=r"has not answered in 0\.01 s"):
            await parrot.ask(b"nothing", 0.01)


async def test_one_that_has_ended_does_not_answer(module: Path) -> None:
    """Whether it is found out in speaking or in listening."""
    module.write_text("print('bye')")
    async with program("parrot") as parrot:
        await parrot.says("bye")
        await parrot.over()
        with pytest.raises(BenchError, match="parrot has ended too soon"):
            await parrot.ask(b"hi" * 1_000_000, 20.0)


async def test_it_is_given_what_it_needs(module: Path, tmp_path: Path) -> None:
    """A processor, a word in its environment, and a file to complain to."""
    module.write_text(
        "import os, sys, time; print('no!', file=sys.stderr); sys.stderr.flush(); "
        "print(os.environ['SONG'], flush=True); time.sleep(60)"
    )
    file, chosen = tmp_path / "complaints", {min(os.sched_getaffinity(0))}
    async with program("parrot", processors=chosen, environment={"SONG": "la"}, complaints=file) as parrot:
        await parrot.says("^la$")
        assert os.sched_getaffinity(parrot.pid) == chosen
    assert file.read_text() == "no!\n"


async def test_one_that_ends_at_once_is_no_failure_yet(module: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever listens to it finds out."""

    def gone_already(*rest: object) -> None:
        raise ProcessLookupError

    monkeypatch.setattr(programs.os, "setpriority", gone_already)
    module.write_text("print('hello')")
    async with program("parrot", aside=True) as parrot:
        await parrot.says("hello")


async def test_nobody_outlives_a_killed_bench(module: Path, process: Callable[..., Awaitable[Program]]) -> None:
    """However it was killed."""
    module.write_text("import os, time; print('parrot', os.getpid(), flush=True); time.sleep(60)")
    bench = await process(
        sys.executable,
        "-c",
        "import asyncio, time\nfrom gateway.bench.programs import program\n"
        "async def main():\n    async with program('parrot') as one:\n"
        "        print((await one.says('parrot .*'))[0], flush=True)\n        time.sleep(60)\n"
        "asyncio.run(main())",
        environment={"PYTHONPATH": os.pathsep.join(path or "." for path in sys.path)},
    )
    pid = int((await bench.says(r"parrot (\d+)"))[1])
    bench.send(signal.SIGKILL)
    await bench.ends()
    async with asyncio.timeout(10):
        while not ended(pid):  # noqa: ASYNC110 - a process of others tells nobody that it has ended
            await asyncio.sleep(0.01)


def test_without_a_leash(monkeypatch: pytest.MonkeyPatch) -> None:
    """There are systems that know none."""
    monkeypatch.setattr(programs.ctypes, "CDLL", lambda name: object())
    assert programs.leash() is None


async def test_one_that_ends_too_soon_is_told(module: Path) -> None:
    """With its name."""
    module.write_text("print('no')")
    async with program("parrot") as parrot:
        with pytest.raises(BenchError, match="parrot has ended"):
            await parrot.says("yes")


async def test_one_that_is_silent_is_told(module: Path) -> None:
    """After its time."""
    module.write_text("import time; time.sleep(60)")
    async with program("parrot") as parrot:
        with pytest.raises(BenchError, match="parrot has not become ready"):
            await parrot.says("yes", 0.01)
