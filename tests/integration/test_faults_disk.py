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

from tests.support.faulty import Faulty, Start, faulty, until
from tests.support.gateway import PATIENCE

# The processes choose their own loops.
pytestmark = pytest.mark.asyncio(loop_factories=["asyncio"])

LONG = "[[scale seconds=8 speed=8]] a scale that ends in the trouble"
SHORT = "[[scale seconds=2 speed=0]] a scale of two seconds"
NEW = "[[scale seconds=2 speed=0]] a scale that nobody can book"


async def refused(there: Faulty) -> str:
    """Asks until a new song is refused for the ledger's sake; the sentence."""
    status, document = await until(lambda: there.ask(NEW), lambda given: given[0] != 201)
    assert (status, document["error"]["code"]) == (503, "ledger_unavailable"), document
    assert document["error"]["retry_after_ms"] > 0
    return str(document["error"]["message"])


async def sold_again(there: Faulty) -> str:
    """A song that is bought, heard and billed."""
    _, document = await until(lambda: there.ask(SHORT), lambda given: given[0] == 201)
    await there.whole(document["id"])
    assert (await there.billed(document["id"]))["settled"] == 2.0
    return str(document["id"])


async def outlived(there: Faulty, break_it: Callable[[], None], mend_it: Callable[[], None], words: str) -> None:
    """A song that begins before the trouble and ends in it is heard whole, and billed when the trouble is over."""
    before = await sold_again(there)
    begun = asyncio.Event()
    song = await there.order(LONG)
    hearing = asyncio.create_task(there.whole(song, begun=begun))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    break_it()
    assert words in await refused(there)
    assert await hearing < 1.0, "nobody who hears waits for a disk"
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
    async with faulty(process, tmp_path) as there:
        await there.start()
        pid, most = there.program.pid, resource.RLIM_INFINITY

        def allow(octets: int) -> None:
            resource.prlimit(pid, resource.RLIMIT_FSIZE, (octets, most))

        await outlived(there, lambda: allow(0), lambda: allow(most), "has failed")


@pytest.mark.nightly
async def test_a_file_system_without_room(process: Start, need: Callable[[str], str], tmp_path: Path) -> None:
    """The ledger stands on a small file system of its own, which somebody else fills, and empties again."""
    disk = tmp_path / "disk"
    disk.mkdir()
    mounts = f'mount -t tmpfs -o size=256k none "{disk}" && exec "$@"'
    before = (need("unshare"), *(() if os.geteuid() == 0 else ("-r",)), "-m", "sh", "-c", mounts, "sh")
    trial = await process(*before, "true")
    if await trial.ends():
        pytest.skip("this system lets nobody mount here")
    async with faulty(process, tmp_path, before=before, quota={"store": f"sqlite:///{disk / 'usage.db'}"}) as there:
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


async def test_a_disk_that_is_slow(process: Start, tmp_path: Path) -> None:
    """Another program holds the file for longer than is waited: the song is not late, and its bill is booked."""
    async with faulty(process, tmp_path) as there:
        await there.start()
        with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as other:
            await outlived(
                there,
                lambda: bool(other.execute("BEGIN IMMEDIATE")),  # type: ignore[arg-type, return-value]  # nobody asks
                lambda: bool(other.execute("COMMIT")),  # type: ignore[arg-type, return-value]  # the same
                "is locked by another program",
            )


@pytest.mark.parametrize("how", ["deleted", "moved"])
async def test_a_file_that_vanishes(process: Start, tmp_path: Path, how: str) -> None:
    """Somebody deletes it, or puts it away, under a gateway that runs: it is said, and what comes is kept anew."""
    async with faulty(process, tmp_path) as there:
        await there.start()
        old = await sold_again(there)
        begun = asyncio.Event()
        song = await there.order(LONG)
        hearing = asyncio.create_task(there.whole(song, begun=begun))
        await asyncio.wait_for(begun.wait(), PATIENCE)
        for file in tmp_path.glob("usage.db*"):
            if how == "moved":
                shutil.move(file, tmp_path / file.name.replace("usage", "kept"))
            else:
                file.unlink()
        assert await hearing < 1.0
        new = await sold_again(there)
        await there.program.says("ledger.moved|another file", PATIENCE)
        rows = await there.usage()
        print(rows, old, song, new)
        await there.program.stop()
        print(there.program.said)
        with closing(sqlite3.connect(tmp_path / "usage.db")) as file:
            print(file.execute("SELECT stream_id, status, settled FROM generations").fetchall())
        raise AssertionError


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


async def test_a_folder_that_may_only_be_read_is_a_sentence_at_the_start(process: Start, tmp_path: Path) -> None:
    """It does not start, and says so in one line."""
    async with faulty(process, tmp_path, quota={"store": "sqlite:////proc/usage.db"}) as there:
        program = await there.begin()
        assert await program.ends() == 2
        (said,) = [line for line in program.said.splitlines() if line.startswith("wavegate:")]
        assert said.startswith("wavegate: quota.store: The ledger cannot be opened")
