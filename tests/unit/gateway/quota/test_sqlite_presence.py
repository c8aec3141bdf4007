"""The presence of the ledger's file, by doing to it what people do: deleting, moving, replacing, on a real disk.

Invariant under test: whatever was committed is in a file of that name again, no other file is written over, and nothing
is left beside it. It must not know rows.
"""

import logging
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from gateway.quota.sqlite_presence import Presence, put_back
from gateway.quota.sqlite_schema import connect, connect_reading


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "usage.db")


@pytest.fixture
def writing(path: str) -> Iterator[tuple[Presence, sqlite3.Connection]]:
    presence = Presence(path, partial(connect, path, 1.0), writes=True)
    with closing(presence.connect()) as connection:
        use(connection, "2026-01-01")
        yield presence, connection


def use(connection: sqlite3.Connection, period: str) -> None:
    connection.execute("INSERT INTO budgets VALUES (?, 'acme', 1, 1)", (period,))


def periods(path: str) -> list[str]:
    with closing(sqlite3.connect(path)) as file:
        return [str(row[0]) for row in file.execute("SELECT period FROM budgets ORDER BY period")]


def lose(path: str, *, all_of_it: bool = True) -> None:
    for name in (path, path + "-wal", path + "-shm")[: 3 if all_of_it else 1]:
        os.unlink(name)


def test_a_file_in_its_place_stands(writing: tuple[Presence, sqlite3.Connection]) -> None:
    """However often it is asked, and nothing is said."""
    presence, connection = writing
    assert presence.stands(connection)
    assert presence.stands(connection)


@pytest.mark.parametrize("all_of_it", [True, False])
def test_a_deleted_file_is_put_back(
    writing: tuple[Presence, sqlite3.Connection], path: str, caplog: pytest.LogCaptureFixture, *, all_of_it: bool
) -> None:
    """With all that was committed, also where its companions are still there; the next connection is to the new one."""
    presence, connection = writing
    lose(path, all_of_it=all_of_it)
    use(connection, "2026-01-02")
    with caplog.at_level(logging.ERROR):
        assert not presence.stands(connection)
    assert "ledger.file_lost" in caplog.text
    connection.close()
    with closing(presence.connect()) as fresh:
        assert presence.stands(fresh)
        use(fresh, "2026-01-03")
    assert periods(path) == ["2026-01-01", "2026-01-02", "2026-01-03"]
    assert {name.name for name in Path(path).parent.iterdir()} == {"usage.db"}


def test_a_file_that_was_replaced_is_left_as_it_is(
    writing: tuple[Presence, sqlite3.Connection], path: str, tmp_path: Path
) -> None:
    """Somebody has put another one there: that is the ledger now."""
    presence, connection = writing
    with closing(connect(str(tmp_path / "other.db"), 1.0)) as other:
        use(other, "2025-12-31")
    lose(path)
    os.rename(tmp_path / "other.db", path)
    assert not presence.stands(connection)
    connection.close()
    assert periods(path) == ["2025-12-31"]


def test_who_comes_first_puts_it_back(writing: tuple[Presence, sqlite3.Connection], path: str) -> None:
    """Another process was quicker: its file stays."""
    _, connection = writing
    lose(path)
    put_back(connection, path)
    first = os.stat(path).st_ino
    use(connection, "2026-01-02")
    put_back(connection, path)
    assert os.stat(path).st_ino == first
    assert periods(path) == ["2026-01-01"]


def test_a_reader_waits_for_the_new_file(writing: tuple[Presence, sqlite3.Connection], path: str) -> None:
    """It makes none itself: until there is one it reads what it had."""
    presence, connection = writing
    reading = Presence(path, partial(connect_reading, path, 1.0), writes=False)
    with closing(reading.connect()) as reader:
        assert reading.stands(reader)
        assert reader.execute("SELECT count(*) FROM budgets").fetchone() == (1,)
        lose(path)
        assert reading.stands(reader)
        assert reader.execute("SELECT count(*) FROM budgets").fetchone() == (1,)
        with pytest.raises(sqlite3.OperationalError):
            reading.connect()
        assert not Path(path).exists()
        assert not presence.stands(connection)
        assert not reading.stands(reader)
    assert periods(path) == ["2026-01-01"]


def test_what_cannot_be_put_back_yet_is_not_let_go(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The whole folder is gone: the connection that has everything stands, until there is a place for it again."""
    folder = tmp_path / "folder"
    folder.mkdir()
    path = str(folder / "usage.db")
    presence = Presence(path, partial(connect, path, 1.0), writes=True)
    with closing(presence.connect()) as connection:
        use(connection, "2026-01-01")
        lose(path)
        folder.rmdir()
        assert presence.stands(connection)
        assert "ledger.failed" in caplog.text
        use(connection, "2026-01-02")
        folder.mkdir()
        assert not presence.stands(connection)
    assert periods(path) == ["2026-01-01", "2026-01-02"]
