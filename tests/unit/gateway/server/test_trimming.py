"""Memory given back: when it is asked for, and that it is given.

Invariant under test: a process that holds no more than before asks nothing of the system.
It must not know what was kept there.
"""

import asyncio
import subprocess
import sys

import pytest

from gateway.server import trimming
from gateway.server.trimming import MORE_BYTES, Trimming, keep_apart, trim

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


async def test_only_who_holds_more_gives_back() -> None:
    """At first, and whenever it has grown by some; less than before is what is counted from."""
    held, freed = 100 * MORE_BYTES, list[int]()

    def free() -> None:
        nonlocal held
        freed.append(held)
        held -= 2 * MORE_BYTES

    looking = Trimming(lambda: held, free)
    await looking.look()
    held += MORE_BYTES - 1
    await looking.look()
    assert freed == [100 * MORE_BYTES]
    held += 1
    await looking.look()
    assert len(freed) == 2


async def test_it_looks_again_and_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """Until it is cancelled."""
    monkeypatch.setattr(trimming, "SECONDS", 0.0)
    seen, held = asyncio.Event(), iter(range(0, 1 << 40, MORE_BYTES))
    freed: list[int] = []

    def free() -> None:
        freed.append(1)
        if len(freed) == 3:
            loop.call_soon_threadsafe(seen.set)

    loop = asyncio.get_running_loop()
    looking = asyncio.create_task(Trimming(lambda: next(held), free).run())
    async with asyncio.timeout(10):
        await seen.wait()
    looking.cancel()
    await asyncio.wait([looking])


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
    keep_apart()
    trim()
