"""Tests of the tables: a new file, an old one, a newer one, and what is no such file at all.

Invariant under test: a migration is made wholly or not at all, once, and never backwards.
It must not know what rows mean.
"""

import os
import sqlite3
import stat
import threading
from contextlib import closing, nullcontext
from dataclasses import fields
from pathlib import Path

import pytest

from gateway.quota.entry import Entry
from gateway.quota.sqlite_schema import (
    MIGRATIONS,
    PAUSE_SECONDS,
    NewerVersion,
    connect,
    connect_reading,
    make,
    migrate,
    patiently,
)
from tests.support.ledger import Time


def version(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT version FROM ledger_version").fetchone()[0])


def test_a_new_file(tmp_path: Path) -> None:
    """It has every column of a row, in order, the version, and the write-ahead log; the second time finds it so."""
    path = tmp_path / "usage.db"
    for _ in range(2):
        with closing(connect(str(path), 1.0)) as connection:
            columns = [row[1] for row in connection.execute("PRAGMA table_info(generations)")]
            assert columns == [
                "stream_id",
                *(name for name in columns if name != "stream_id"),
            ]
            assert set(columns) == {field.name for field in fields(Entry)}
            assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
            assert connection.execute("PRAGMA synchronous").fetchone() == (1,)
        assert version(path) == len(MIGRATIONS)


def test_a_new_file_is_its_owners_alone(tmp_path: Path) -> None:
    """What others may read of one that is there already is its owner's to say; what SQLite puts beside is alike."""
    before = os.umask(0o022)
    try:
        old = tmp_path / "old.db"
        old.touch(0o640)
        with closing(connect(str(tmp_path / "new.db"), 1.0)), closing(connect(str(old), 1.0)):
            modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert {mode for name, mode in modes.items() if name.startswith("new.db")} == {0o600}
    assert modes["old.db"] == 0o640
    make(str(tmp_path / "nowhere" / "new.db"))
    assert not (tmp_path / "nowhere").exists()


def test_an_old_file_is_brought_up(tmp_path: Path) -> None:
    """Only what it does not have yet is done, and what was in it stays."""
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as connection:
        first = ("CREATE TABLE songs (name TEXT)", "INSERT INTO songs VALUES ('one')")
        migrate(connection, (first,))
        migrate(connection, (first, ("ALTER TABLE songs ADD COLUMN key TEXT DEFAULT 'C'",)))
        assert connection.execute("SELECT * FROM songs").fetchall() == [("one", "C")]
    assert version(tmp_path / "usage.db") == 2


def test_a_migration_that_fails_leaves_the_file_as_it_was(tmp_path: Path) -> None:
    """No half of it stays, and the version neither."""
    with closing(sqlite3.connect(tmp_path / "usage.db", isolation_level=None)) as connection:
        first = ("CREATE TABLE songs (name TEXT)",)
        migrate(connection, (first,))
        with pytest.raises(sqlite3.OperationalError):
            migrate(connection, (first, ("CREATE TABLE more (name TEXT)", "CREATE NONSENSE")))
        names = {row[0] for row in connection.execute("SELECT name FROM sqlite_master")}
        assert names == {"songs", "ledger_version"}
    assert version(tmp_path / "usage.db") == 1


def test_a_newer_file_is_left_alone(tmp_path: Path) -> None:
    """It may mean something that this program does not know."""
    path = tmp_path / "usage.db"
    with closing(connect(str(path), 1.0)) as connection:
        connection.execute("UPDATE ledger_version SET version = 99")
    with pytest.raises(NewerVersion, match="version 99"):
        connect(str(path), 1.0)
    assert version(path) == 99


def test_no_database(tmp_path: Path) -> None:
    """Another file, and a folder that is not there."""
    path = tmp_path / "song.mp3"
    path.write_bytes(b"ID3" + bytes(4096))
    with pytest.raises(sqlite3.DatabaseError) as trouble:
        connect(str(path), 1.0)
    assert trouble.value.sqlite_errorcode == sqlite3.SQLITE_NOTADB
    with pytest.raises(sqlite3.OperationalError):
        connect(str(tmp_path / "nowhere" / "usage.db"), 1.0)


def test_a_lock_is_waited_for(tmp_path: Path) -> None:
    """As long as was said; then the file is let be. Here another has it before it has tables at all."""
    path = tmp_path / "usage.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("CREATE TABLE theirs (name TEXT)")
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(sqlite3.OperationalError) as trouble:
            connect(str(path), 0.02)
        assert trouble.value.sqlite_errorcode == sqlite3.SQLITE_BUSY
        other.execute("COMMIT")
        connect(str(path), 0.02).close()


@pytest.mark.parametrize(("busy", "tries"), [(0, 1), (3, 4), (999, 6)])
def test_locks_that_sqlite_does_not_wait_for(busy: int, tries: int) -> None:
    """They are tried again, with pauses, until the time is over."""
    clock, tried = Time(), list[float]()

    def pause(seconds: float) -> None:
        clock.at += seconds

    def action() -> None:
        tried.append(clock.at)
        if len(tried) <= busy:
            trouble = sqlite3.OperationalError("database is locked")
            trouble.sqlite_errorcode = sqlite3.SQLITE_BUSY
            raise trouble

    outcome = pytest.raises(sqlite3.OperationalError) if busy == 999 else nullcontext()
    with outcome:
        patiently(action, 4.5 * PAUSE_SECONDS, clock, pause)
    assert len(tried) == tries


def test_other_troubles_are_not_waited_for() -> None:
    """A second try would fail as the first did."""
    with closing(sqlite3.connect(":memory:")) as connection, pytest.raises(sqlite3.OperationalError, match="syntax"):
        patiently(lambda: connection.execute("NONSENSE"), 20.0, Time(), lambda _: pytest.fail("it waited"))


def test_many_open_a_new_file_at_once(tmp_path: Path) -> None:
    """One of them makes the tables, the others find them."""
    troubles: list[BaseException] = []
    barrier = threading.Barrier(6, timeout=10)

    def open_it() -> None:
        barrier.wait()
        try:
            connect(str(tmp_path / "usage.db"), 10.0).close()
        except sqlite3.Error as trouble:
            troubles.append(trouble)

    threads = [threading.Thread(target=open_it) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert troubles == []
    assert version(tmp_path / "usage.db") == len(MIGRATIONS)


def test_a_reader_writes_nothing(tmp_path: Path) -> None:
    """Its connection refuses to."""
    connect(str(tmp_path / "usage.db"), 1.0).close()
    with closing(connect_reading(str(tmp_path / "usage.db"), 1.0)) as connection:
        assert connection.execute("SELECT count(*) FROM generations").fetchone() == (0,)
        with pytest.raises(sqlite3.OperationalError):
            connection.execute("DELETE FROM generations")
