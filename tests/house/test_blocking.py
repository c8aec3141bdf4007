"""Blocking calls: ours inside the loop raise, a test's own and those outside the loop do not.

Invariant: a function that stands in one of our packages is made by compiling it under such a file name.
It must not block for longer than a call takes.
"""

import threading
import time
from pathlib import Path

import pytest
from blockbuster import BlockingError

from tests.house.blocking import blocking_calls_fail
from tests.house.tree import ROOT


def nap() -> None:
    """Sleeps for no time, but with a blocking call."""
    time.sleep(0)


def _compiled_in(path: Path) -> dict[str, object]:
    names: dict[str, object] = {"nap": nap}
    exec(compile("def room():\n    nap()\n", str(path), "exec"), names)
    return names


@pytest.mark.blocking("the watch under test is opened here, twice would undo it too early")
async def test_a_blocking_call_of_ours_raises_inside_the_loop() -> None:
    """A blocking call is found when our code is anywhere above it, and a test's own call is left alone."""
    room = _compiled_in(ROOT / "gateway/room.py")["room"]
    assert callable(room)
    with blocking_calls_fail():
        nap()
        with pytest.raises(BlockingError, match=r"time\.sleep"):
            room()
    room()


def test_a_blocking_call_outside_the_loop_is_allowed() -> None:
    """Without a running loop nobody is kept waiting."""
    room = _compiled_in(ROOT / "gateway/room.py")["room"]
    assert callable(room)
    with blocking_calls_fail():
        room()


@pytest.mark.blocking("the watch under test is opened here, twice would undo it too early")
async def test_coverage_may_wait_for_its_own_lock() -> None:
    """What the measuring tool does inside our lines is not ours: it may wait for a thread that it measures too."""
    lock = threading.Lock()
    lock.acquire()
    release = threading.Timer(0.01, lock.release)
    names: dict[str, object] = {"lock": lock}
    exec(compile("def lock_data():\n    lock.acquire()\n", "/somewhere/coverage/collector.py", "exec"), names)
    exec(compile("def room():\n    lock_data()\n", str(ROOT / "gateway/room.py"), "exec"), names)
    room = names["room"]
    assert callable(room)
    release.start()
    with blocking_calls_fail():
        room()
    release.join()
