"""How late a loop is, on a loop that is held up on purpose.

Invariant under test: what holds the loop up is seen, and nothing is earlier than due.
It must not know what else a loop does.
"""

import asyncio
import json
import subprocess
import sys
import time

import pytest

from gateway.bench.ticks import run_loop, ticks


@pytest.mark.blocking("the loop is held up on purpose")
async def test_a_held_up_loop_is_late() -> None:
    """By as long as it was held up, once."""
    asyncio.get_running_loop().call_later(0.02, time.sleep, 0.05)
    late = await ticks(0.15)
    assert max(late) >= 0.04
    assert min(late) >= 0


def test_it_runs_without_uvloop(monkeypatch: pytest.MonkeyPatch) -> None:
    """On asyncio's own loop."""
    monkeypatch.setitem(sys.modules, "uvloop", None)
    assert run_loop(ticks(0.01))


def test_the_program_prints_what_it_saw() -> None:
    """As JSON."""
    command = [sys.executable, "-m", "gateway.bench.ticks", "0.02"]
    said = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(said.stdout)
