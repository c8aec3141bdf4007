"""Programs beside a bench: heard, and ended, also those that do not want to.

Invariant under test: none outlives its context.
It must not know which programs there are.
"""

import os
from pathlib import Path

import pytest

from gateway.bench import programs
from gateway.bench.benches import BenchError
from gateway.bench.programs import program


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
