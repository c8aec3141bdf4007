"""The disk of the ledger is full, broken, slow, read-only, gone or full of noise, under a gateway that is a program.

Invariant under test: who hears goes on without a pause or a hole; new work is refused with a sentence; a bill waits
until it can be booked, and is booked once, without a restart. It looks at frames, answers, the report and the log.
"""

import asyncio
import os
import resource
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from tests.support.faulty import Faulty, Start, faulty
from tests.support.gateway import PATIENCE
from tests.support.union import answered

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LONG = "[[scale seconds=8 speed=8]] a scale that ends in the trouble"
SHORT = "[[scale seconds=2 speed=0]] a scale of two seconds"
# Of a second of song; who waited for the ledger would wait for five.
PAUSE = 4.0
# A bill that was not taken is tried again three times in a lease.
LEASES = {"lease_seconds": 3.0}
NEW = "[[scale seconds=2 speed=0]] a scale that nobody can book"


async def refused(there: Faulty) -> str:
    """Asks until a new song is refused for the ledger's sake; the sentence."""
    status, document = await answered(lambda: there.ask(NEW), lambda given: given[0] not in (201, 429))
    assert (status, document["error"]["code"]) == (503, "ledger_unavailable"), document
    assert document["error"]["retry_after_ms"] > 0
    return str(document["error"]["message"])


async def sold_again(there: Faulty) -> str:
    """A song that is bought, heard and billed."""
    _, document = await answered(lambda: there.ask(SHORT), lambda given: given[0] == 201)
    await there.whole(document["id"])
    assert (await there.billed(document["id"]))["settled"] == 2.0
    return str(document["id"])


async def outlived(there: Faulty, break_it: Callable[[], object], mend_it: Callable[[], object], words: str) -> None:
    """A song that begins before the trouble and ends in it is heard whole, and billed when the trouble is over."""
    before = await sold_again(there)
    begun = asyncio.Event()
    song = await there.order(LONG)
    hearing = asyncio.create_task(there.whole(song, begun=begun))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    break_it()
    assert words in await refused(there)
    assert await hearing < PAUSE, "nobody who hears waits for a disk"
    await there.program.says("ledger.unsettled|bill was not taken", PATIENCE)
    assert await there.metric('wavegate_ledger_errors_total{operation="settle"}') >= 1
    mend_it()
    assert (await there.billed(song))["settled"] == 8.0
    after = await sold_again(there)
    rows = await there.usage()
    assert [rows[one]["status"] for one in (before, song, after)] == ["completed"] * 3
    assert sum(row["settled"] for row in rows.values()) == 12.0


async def test_a_disk_that_takes_no_writes(process: Start, tmp_path: Path) -> None:
    """Every write fails, as on a disk that dies; when it takes them again the bill that waited is booked, once."""
    async with faulty(process, tmp_path, quota=LEASES) as there:
        await there.start()
        pid, most = there.program.pid, resource.RLIM_INFINITY

        def allow(octets: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, most))

        await outlived(there, lambda: allow(0), lambda: allow(most), "has failed")


async def mounting(process: Start, need: Callable[[str], str], mount: str) -> tuple[str, ...]:
    """What starts a program in a place where this has been mounted, for it alone."""
    anyone = () if os.geteuid() == 0 else ("-r",)
    before = (need("unshare"), *anyone, "-m", "sh", "-c", f'{mount} && exec "$@"', "sh")
    if await (await process(*before, "true")).ends():
        pytest.skip("this system lets nobody mount here")
    return before


@pytest.mark.nightly
async def test_a_file_system_without_room(process: Start, need: Callable[[str], str], tmp_path: Path) -> None:
    """The ledger stands on a small file system of its own, which somebody else fills, and empties again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    before = await mounting(process, need, f'mount -t tmpfs -o size=1m none "{disk}"')
    quota = {"store": f"sqlite:///{disk / 'usage.db'}"} | LEASES
    async with faulty(process, tmp_path, before=before, quota=quota) as there:
        await there.start()
        filler = Path(f"/proc/{there.program.pid}/root{disk}/filler")

        def fill() -> None:
            with filler.open("wb", buffering=0) as file:
                try:
                    while file.write(b"\0" * 4096):
                        pass
                except OSError:
                    return

        await outlived(there, fill, filler.unlink, "has no room left on its disk")


@pytest.mark.nightly
async def test_a_disk_that_is_slow(process: Start, tmp_path: Path) -> None:
    """Another program holds the file for longer than is waited: the song is not late, and its bill is booked."""
    async with faulty(process, tmp_path, quota=LEASES) as there:
        await there.start()
        with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as other:
            await outlived(
                there,
                lambda: other.execute("BEGIN IMMEDIATE"),
                lambda: other.execute("COMMIT"),
                "is locked by another program",
            )


@pytest.mark.nightly
@pytest.mark.parametrize("how", ["deleted", "moved"])
async def test_a_file_that_vanishes(process: Start, tmp_path: Path, how: str) -> None:
    """Somebody deletes it, or puts it away, under a gateway that runs: it is said, and the file is back, whole."""
    async with faulty(process, tmp_path, quota=LEASES) as there:
        await there.start()
        old = await sold_again(there)
        begun = asyncio.Event()
        song = await there.order(LONG)
        hearing = asyncio.create_task(there.whole(song, begun=begun))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        for file in [tmp_path / f"usage.db{end}" for end in ("", "-wal", "-shm")]:
            if how == "moved":
                shutil.move(file, tmp_path / file.name.replace("usage", "kept"))
            else:
                file.unlink()
        assert await hearing < PAUSE
        new = await sold_again(there)
        await there.program.says("ledger.file_lost", PATIENCE)
        assert (await there.usage()).keys() == {old, song, new}
        assert await there.program.stop() == 0
        assert "Traceback" not in there.program.said
        with closing(sqlite3.connect(tmp_path / "usage.db")) as kept:
            rows = dict(
                kept.execute("SELECT stream_id, settled FROM generations WHERE status = 'completed'").fetchall()
            )
        assert rows == {old: 2000, song: 8000, new: 2000}
        assert {file.name for file in tmp_path.glob("usage.db*")} == {"usage.db", "usage.db-tickets"}


@pytest.mark.nightly
@pytest.mark.parametrize("noise", [b"a song" * 1000, b"SQLite format 3\0" + b"\xa5" * 8192])
async def test_a_file_of_noise_is_a_sentence_at_the_start(process: Start, tmp_path: Path, noise: bytes) -> None:
    """It does not start, says so in one line, and leaves the file as it is."""
    (tmp_path / "usage.db").write_bytes(noise)
    async with faulty(process, tmp_path) as there:
        program = await there.begin()
        assert await program.ends() == 2
        (said,) = [line for line in program.said.splitlines() if line.startswith("wavegate:")]
        assert said.startswith("wavegate: quota.store: The ledger is damaged")
        assert "Traceback" not in program.said
    assert (tmp_path / "usage.db").read_bytes() == noise


@pytest.mark.nightly
async def test_a_file_system_that_may_only_be_read_is_a_sentence(
    process: Start, need: Callable[[str], str], tmp_path: Path
) -> None:
    """A gateway whose ledger was remounted read-only does not start again, says so in one line, and loses nothing."""
    disk = tmp_path / "disk"
    disk.mkdir()
    quota = {"store": f"sqlite:///{disk / 'usage.db'}"}
    async with faulty(process, tmp_path, quota=quota) as there:
        await there.start()
        song = await sold_again(there)
        assert await there.program.stop() == 0
        there.before = await mounting(
            process, need, f'mount --bind "{disk}" "{disk}" && mount -o remount,bind,ro "{disk}"'
        )
        program = await there.begin()
        assert await program.ends() == 2
        (said,) = [line for line in program.said.splitlines() if line.startswith("wavegate:")]
        assert str(disk) in said
        assert "unable to open database file" in said
        there.before = ()
        await there.start()
        assert (await there.billed(song))["settled"] == 2.0
