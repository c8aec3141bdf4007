"""The uses of tickets in a file: what happens when the file, the disk or the number of callers is not as it should be.

Invariant under test: no trouble grants anything, everything that waits is bounded, and the loop never waits for the
disk. It must not know how a ticket looks.
"""

import asyncio
import sqlite3
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.errors import ServiceError, StartError
from gateway.quota import uses_sqlite
from gateway.quota.uses import KEEP_SECONDS
from gateway.quota.uses_sqlite import SqliteUses
from tests.support.relay import Clock

ONE = b"\1" * 16
END = 2000.0


def rows(file: Path) -> int:
    """Tickets in the file, as another program sees them."""
    other = sqlite3.connect(file)
    try:
        found: int = other.execute("SELECT count(*) FROM ticket_uses").fetchone()[0]
    finally:
        other.close()
    return found


class Gate:
    """A clock that stands, and holds whoever reads it while it is shut."""

    def __init__(self) -> None:
        self.open = threading.Event()
        self.open.set()
        self.at = 1000.0

    def __call__(self) -> float:
        assert self.open.wait(20.0)
        return self.at


# -- the file --------------------------------------------------------------------------------------------------------


def a_folder(place: Path) -> Path:
    (place / "folder").mkdir()
    return place / "folder"


def another_kind_of_file(place: Path) -> Path:
    (place / "song.mp3").write_bytes(b"ID3 and nothing that a database begins with" * 100)
    return place / "song.mp3"


@pytest.mark.parametrize(
    "bad", [a_folder, another_kind_of_file, lambda place: place / "nowhere" / "uses.db"], ids=["folder", "mp3", "none"]
)
async def test_a_file_that_cannot_be_used_is_named(tmp_path: Path, bad: Callable[[Path], Path]) -> None:
    """Whoever starts the gateway reads which file it is; what it was stays as it was."""
    file = bad(tmp_path)
    before = file.read_bytes() if file.is_file() else None
    with pytest.raises(StartError) as refused:
        await SqliteUses(file).__aenter__()
    assert str(refused.value).startswith(f"{file} cannot hold the uses of tickets: ")
    assert (file.read_bytes() if file.is_file() else None) == before


async def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """It keeps a secret; a file that is there already keeps the rights it has."""
    file, shared = tmp_path / "uses.db", tmp_path / "shared.db"
    shared.touch(0o640)
    shared.chmod(0o640)
    async with SqliteUses(file) as uses, SqliteUses(shared):
        await uses.secret(bytes(32))
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert {stat.S_IMODE(one.stat().st_mode) for one in tmp_path.glob("uses.db-*")} == {0o600}
        assert stat.S_IMODE(shared.stat().st_mode) == 0o640


async def test_the_file_forgets_with_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A few rows at a time, as long as there are any, and then only now and then."""
    monkeypatch.setattr(uses_sqlite, "SWEEP_ROWS", 10)
    clock, file = Clock(1000.0), tmp_path / "uses.db"
    async with SqliteUses(file, now=clock) as uses:
        for number in range(25):
            assert await uses.spend(number.to_bytes(16, "big"), 1, 1000.0)
        clock.at = 1000.0 + KEEP_SECONDS
        left = []
        for _ in range(4):
            await uses.settle(ONE, 0.0, 0.0)
            left.append(rows(file))
        assert left == [15, 5, 0, 0]
        assert await uses.spend(ONE, 1, clock.at - KEEP_SECONDS + 1.0)
        clock.at += 2.0
        await uses.settle(ONE, 0.0, 0.0)
        assert rows(file) == 1, "the last sweep is not long enough ago"
        clock.at += 10.0
        await uses.settle(ONE, 0.0, 0.0)
        assert rows(file) == 0


# -- trouble ---------------------------------------------------------------------------------------------------------


async def test_a_locked_file_grants_nothing(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While another program holds the file nobody gets in; the log says why, and afterwards it goes on."""
    file = tmp_path / "uses.db"
    async with SqliteUses(file, now=Clock(), busy_seconds=0.05) as uses:
        other = sqlite3.connect(file, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(ServiceError) as error:
                await uses.spend(ONE, 1, END)
            assert (error.value.code, error.value.retry_after) == ("overloaded", 1.0)
            assert "locked" in caplog.records[-1].__dict__["fields"]["reason"]
            other.execute("ROLLBACK")
        finally:
            other.close()
        assert await uses.spend(ONE, 1, END)


async def test_a_sweep_that_fails_takes_nothing_back(tmp_path: Path) -> None:
    """The answer has been given before it: a trigger refuses every deletion, and the uses are counted all the same."""
    file = tmp_path / "uses.db"
    clock = Clock(1000.0)
    async with SqliteUses(file, now=clock) as uses:
        other = sqlite3.connect(file)
        try:
            other.execute(
                "CREATE TRIGGER stays BEFORE DELETE ON ticket_uses BEGIN SELECT RAISE (ABORT, 'it stays'); END"
            )
            other.commit()
        finally:
            other.close()
        assert await uses.spend(ONE, 1, 1000.0)
        clock.at = 1000.0 + KEEP_SECONDS + 60.0
        assert await uses.spend(bytes(16), 1, END)
        assert rows(file) == 2


async def test_an_answer_that_does_not_come_in_time_is_a_refusal(tmp_path: Path) -> None:
    """The disk hangs: whoever waits is told so in time, the loop turns, and what was asked for is counted later."""
    gate = Gate()
    async with SqliteUses(tmp_path / "uses.db", now=gate, answer_seconds=0.05) as uses:
        gate.open.clear()
        with pytest.raises(ServiceError, match="cannot look at tickets"):
            await uses.spend(ONE, 1, END)
        gate.open.set()
        # The thread takes them in turn, so when this one is answered that one is done.
        await until_answered(uses)
        assert not await uses.spend(ONE, 1, END)


async def until_answered(uses: SqliteUses) -> None:
    """Asks for what costs nothing until there is an answer in time."""
    async with asyncio.timeout(20.0):
        while True:
            try:
                await uses.settle(bytes(16), 0.0, 0.0)
            except ServiceError:
                continue
            return


async def test_only_so_many_may_wait(tmp_path: Path) -> None:
    """One more is refused at once; those whose caller has gone count until they are done, and then there is room."""
    gate = Gate()
    async with SqliteUses(tmp_path / "uses.db", now=gate, most_waiting=3) as uses:
        gate.open.clear()
        waiting = [asyncio.create_task(uses.spend(bytes([number]), 1, END)) for number in range(3)]
        await asyncio.sleep(0)
        with pytest.raises(ServiceError, match="Too many"):
            await uses.spend(ONE, 1, END)
        waiting[2].cancel()
        await asyncio.wait(waiting[2:])
        with pytest.raises(ServiceError, match="Too many"):
            await uses.spend(ONE, 1, END)
        gate.open.set()
        assert await asyncio.gather(*waiting[:2]) == [True, True]
        # The thread answers in turn: behind this answer nothing waits.
        await uses.settle(ONE, 0.0, 0.0)
        assert not await uses.spend(bytes([2]), 1, END), "what was asked for is done, though nobody waited for it"


async def test_a_failure_nobody_waits_for_is_not_noise(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The caller has gone, the file is locked: nothing complains of an exception that was never looked at."""
    file = tmp_path / "uses.db"
    async with SqliteUses(file, now=Clock(), busy_seconds=0.05) as uses:
        other = sqlite3.connect(file, isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            gone = asyncio.create_task(uses.spend(ONE, 1, END))
            await asyncio.sleep(0)
            gone.cancel()
            await asyncio.wait([gone])
            with pytest.raises(ServiceError):
                await uses.spend(bytes(16), 1, END)
        finally:
            other.close()
    assert "never retrieved" not in caplog.text


async def test_closing_does_not_wait_for_ever(tmp_path: Path) -> None:
    """The disk hangs while the gateway stops: it stops, and the thread ends when the disk lets it."""
    gate = Gate()
    uses = SqliteUses(tmp_path / "uses.db", now=gate, answer_seconds=0.05)
    await uses.__aenter__()
    gate.open.clear()
    with pytest.raises(ServiceError):
        await uses.spend(ONE, 1, END)
    async with asyncio.timeout(10.0):
        await uses.__aexit__()
    gate.open.set()
