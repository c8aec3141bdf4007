"""Memory given back: that it is asked for, and that it is given.

Invariant under test: the system has what is free, and the loop does not wait for it.
It must not know what was kept there.
"""

import asyncio
import subprocess
import sys
import threading

import pytest

from gateway.server import trimming
from gateway.server.trimming import keep_apart, trim

# Between pieces that stay, many that go: all but the last of their pages are free, and none is at the end.
PROGRAM = """
from gateway.server.resources import resident_bytes
from gateway.server.trimming import trim
pieces = [bytes(4000) for _ in range(20_000)]
staying = pieces[::20]
before = resident_bytes()
del pieces
kept = resident_bytes()
trim()
print(before - kept, before - resident_bytes())
"""


async def test_it_is_given_back_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is cancelled, and never on the loop's thread."""
    monkeypatch.setattr(trimming, "SECONDS", 0.0)
    seen, threads = asyncio.Event(), list[int]()

    def free() -> None:
        threads.append(threading.get_ident())
        if len(threads) == 3:
            loop.call_soon_threadsafe(seen.set)

    loop = asyncio.get_running_loop()
    giving = asyncio.create_task(trimming.run(free))
    async with asyncio.timeout(10):
        await seen.wait()
    giving.cancel()
    await asyncio.wait([giving])
    assert giving.cancelled()
    assert threading.get_ident() not in threads


@pytest.mark.skipif(sys.platform != "linux", reason="glibc gives it back")
def test_the_system_has_it_back() -> None:
    """What was free between pieces that stay, which it would have kept."""
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True, timeout=30)
    kept, given = map(int, done.stdout.split())
    assert given > 40_000_000 > kept


# Once a large piece was given back, glibc keeps those of its size in the heap, where small ones come to lie behind.
LARGE = """
from gateway.server.resources import resident_bytes
from gateway.server.trimming import keep_apart
keep_apart()
del [bytearray(20_000_000)][:]
before, small = resident_bytes(), []
for _ in range(20):
    songs = [bytearray(b"x") * 2_000_000 for _ in range(2)]
    small.append(bytearray(b"x") * 4000)
    del songs
print(resident_bytes() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="glibc gives it back")
def test_what_is_large_goes_back_at_once() -> None:
    """Whole songs, with small pieces made after them: nothing is left of 4 MB."""
    done = subprocess.run([sys.executable, "-c", LARGE], capture_output=True, text=True, check=True, timeout=30)
    assert int(done.stdout) < 1_000_000


@pytest.mark.parametrize("platform", ["darwin", "linux"])
def test_another_system_goes_on(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without glibc, and without ctypes."""
    monkeypatch.setattr(sys, "platform", platform)
    monkeypatch.setitem(sys.modules, "ctypes", None)
    trimming._function.cache_clear()
    keep_apart()
    trim()
