"""The directory of recordings.

Invariant tested: it never holds more than it may, the oldest goes first, and what is not whole has no name.
It must not know what is recorded.
"""

import os
import stat
from pathlib import Path

import pytest

from gateway.upstream.logbook import Logbook


def names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def size(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.iterdir())


def write(book: Logbook, name: str, length: int) -> None:
    page = book.open(name)
    page.write(b"x" * length)
    page.finish(name)


def test_a_recording_appears_when_it_is_whole(tmp_path: Path) -> None:
    """Under another name while it is written; for its owner alone, and so is the directory."""
    directory = tmp_path / "a" / "b"
    book = Logbook(directory, 1000)
    page = book.open("1")
    page.write(b"one\n")
    page.write(b"two\n")
    assert names(directory) == ["1.flight.part"]
    page.finish("2")
    assert names(directory) == ["2.flight.jsonl"]
    assert (directory / "2.flight.jsonl").read_bytes() == b"one\ntwo\n"
    assert stat.S_IMODE((directory / "2.flight.jsonl").stat().st_mode) == 0o600
    assert stat.S_IMODE(directory.stat().st_mode) == 0o700


def test_the_oldest_goes_first(tmp_path: Path) -> None:
    """By name, which begins with the time, whoever wrote it; strangers' files are left alone."""
    (tmp_path / "0.flight.part").write_bytes(b"x" * 300)
    (tmp_path / "0.txt").write_bytes(b"x" * 5000)
    book = Logbook(tmp_path, 1000)
    for name in ("2", "1", "3"):
        write(book, name, 300)
    assert names(tmp_path) == ["0.txt", "1.flight.jsonl", "2.flight.jsonl", "3.flight.jsonl"]
    write(book, "4", 300)
    assert names(tmp_path) == ["0.txt", "2.flight.jsonl", "3.flight.jsonl", "4.flight.jsonl"]


def test_the_bound_holds_at_every_line(tmp_path: Path) -> None:
    """The recordings that are being written count, and when they alone are too much, the next line is refused."""
    book = Logbook(tmp_path, 1000)
    write(book, "1", 500)
    one, two = book.open("2"), book.open("3")
    for page in (one, two, one, two):
        page.write(b"x" * 240)
        assert size(tmp_path) <= 1000
    assert names(tmp_path) == ["2.flight.part", "3.flight.part"]
    with pytest.raises(OSError, match="fill the room"):
        one.write(b"x" * 100)
    one.discard()
    two.write(b"x" * 400)
    two.finish("3")
    assert names(tmp_path) == ["3.flight.jsonl"]


def test_what_is_given_up_is_gone(tmp_path: Path) -> None:
    """At once, or when the book is closed; twice is no mistake, nor is a file that is gone already."""
    book = Logbook(tmp_path, 1000)
    one, two, three = book.open("1"), book.open("2"), book.open("3")
    one.discard()
    one.discard()
    two.path.unlink()
    two.discard()
    assert names(tmp_path) == ["3.flight.part"]
    three.write(b"x")
    book.close()
    assert names(tmp_path) == []


def test_a_name_that_is_taken(tmp_path: Path) -> None:
    """No recording is written into another one."""
    book = Logbook(tmp_path, 1000)
    page = book.open("1")
    with pytest.raises(FileExistsError):
        book.open("1")
    page.discard()


def test_a_disk_that_takes_half_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A short write is a full disk."""
    book = Logbook(tmp_path, 1000)
    page = book.open("1")

    class Full:
        def write(self, line: bytes) -> int:
            return len(line) - 1

    whole = page._file
    monkeypatch.setattr(page, "_file", Full())
    with pytest.raises(OSError, match=os.strerror(28)):
        page.write(b"line\n")
    whole.close()


def test_another_process_may_remove_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that is gone between being listed and being measured counts for nothing."""
    (tmp_path / "1.flight.jsonl").symlink_to(tmp_path / "gone")
    book = Logbook(tmp_path, 1000)
    write(book, "2", 900)
    assert "2.flight.jsonl" in names(tmp_path)
