"""The writer: nobody waits for whoever reads the log, what is lost is counted, and the end is not held up.

Invariant: pipes are real, their readers are the test's, and every wait has an end.
They must not know how a line looks.
"""

import io
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

import pytest

from gateway.log import writing
from gateway.log.ids import Bound, binding
from gateway.log.repetition import Repetition
from gateway.log.writing import Nobody, Writer

LOGGER = logging.getLogger("wavegate.test.writing")


def line_of(record: logging.LogRecord, known: Bound) -> str:
    if record.msg == "cannot be shown":
        raise RuntimeError
    fields = record.__dict__.get("fields", {})
    return " ".join([record.getMessage(), *[f"{name}={value}" for name, value in {**fields, **known.ids}.items()]])


@contextmanager
def writer(stream: TextIO, **options: object) -> Iterator[Writer]:
    made = Writer(stream, line_of, **options)  # type: ignore[arg-type]  # each test knows what it gives
    LOGGER.addHandler(made)
    LOGGER.setLevel(logging.INFO)
    LOGGER.propagate = False
    try:
        yield made
    finally:
        LOGGER.removeHandler(made)
        made.close()


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class Told(Nobody):
    def __init__(self) -> None:
        self.levels: list[str] = []
        self.held = 0
        self.lost = 0

    def log_line(self, level: str) -> None:
        self.levels.append(level)

    def log_lines_suppressed(self, lines: int) -> None:
        self.held += lines

    def log_lines_dropped(self, lines: int) -> None:
        self.lost += lines


def test_lines_in_order() -> None:
    """Each with what was bound where it was said; all of them, once the writer is closed, and none after that."""
    stream = io.StringIO()
    with writer(stream) as made:
        LOGGER.info("one")
        with binding(stream_id="st_1"):
            LOGGER.info("two")
        made.flush()
        assert stream.getvalue() == "one\ntwo stream_id=st_1\n"
        LOGGER.info("three")
    LOGGER.addHandler(made)
    LOGGER.info("four")
    LOGGER.removeHandler(made)
    made.close()
    assert stream.getvalue().endswith("three\n")


def test_from_many_threads() -> None:
    """Every line is whole, and there once."""

    def say(mine: int) -> None:
        for number in range(100):
            LOGGER.info("%d %d", mine, number)

    stream = io.StringIO()
    with writer(stream) as made:
        made.repetition = Repetition(burst=10**6)
        threads = [threading.Thread(target=say, args=(mine,)) for mine in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    lines = stream.getvalue().splitlines()
    assert sorted(lines) == sorted(f"{n} {k}" for n in range(4) for k in range(100))


def test_a_reader_that_stalls_stops_nobody() -> None:
    """A full pipe takes no line: what is said waits, then is lost and counted; once it is read all of it comes."""
    reading, writing_end = os.pipe()
    told = Told()
    with os.fdopen(writing_end, "w") as stream, os.fdopen(reading, "rb") as reader:
        with writer(stream, most=100) as made:
            made.repetition = Repetition(burst=10**6)
            made.watch = told
            began = time.monotonic()
            for number in range(1000):
                LOGGER.info("%04d %s", number, "x" * 1000)
            LOGGER.warning("last")
            assert time.monotonic() - began < 5.0
            assert told.lost > 100
            said: list[bytes] = []
            thread = threading.Thread(target=lambda: said.extend(reader))
            thread.start()
            until(lambda: made.waiting == 0)
            LOGGER.error("again")
            made.flush()
        stream.close()
        thread.join(10.0)
    written = [line for line in said if not line.startswith(b"log.dropped")]
    dropped = [int(line.split(b"=")[1]) for line in said if line.startswith(b"log.dropped")]
    assert sum(dropped) == told.lost
    assert len(written) + told.lost == 1002
    assert written[-1] == b"again\n"
    assert len(told.levels) == len(written)


def test_the_end_does_not_wait_for_a_reader_that_stalls(monkeypatch: pytest.MonkeyPatch) -> None:
    """A moment, and no more."""
    monkeypatch.setattr(writing, "PATIENCE_SECONDS", 0.05)
    reading, writing_end = os.pipe()
    with os.fdopen(writing_end, "w") as stream:
        began = time.monotonic()
        with writer(stream) as made:
            for _ in range(3):
                LOGGER.info("x" * 100_000)
        assert time.monotonic() - began < 3.0
        os.close(reading)
        until(lambda: made.waiting == 0)


def test_a_reader_that_has_gone(capfd: pytest.CaptureFixture[str]) -> None:
    """Costs the lines and nothing else."""
    reading, writing_end = os.pipe()
    os.close(reading)
    with os.fdopen(writing_end, "w") as stream, writer(stream) as made:
        LOGGER.info("lost %s", "topsecret")
        LOGGER.info("lost too")
        made.flush()
    closed = io.StringIO()
    closed.close()
    with writer(closed):
        LOGGER.info("lost")
    assert capfd.readouterr() == ("", "")


def test_a_stream_that_does_not_block() -> None:
    """Somebody who shares it may have set it so: then its time is waited for, and no octet is lost."""
    reading, writing_end = os.pipe()
    os.set_blocking(writing_end, False)
    with os.fdopen(writing_end, "w") as stream, os.fdopen(reading, "rb") as reader, writer(stream):
        LOGGER.info("x" * 500_000)
        said = reader.readline()
    assert len(said) == 500_001


def test_summaries_come_without_anybody_saying_anything() -> None:
    """The writer waits as long as it takes; what is held back at the end is told at the end."""
    stream, told = io.StringIO(), Told()
    with writer(stream, repetition=Repetition(burst=1, seconds=0.05)) as made:
        made.watch = told
        while not told.held:  # on a slow machine each may come in a window of its own
            LOGGER.info("again")
        LOGGER.info("other")
        until(lambda: "repeated=" in stream.getvalue())
    assert f"again repeated={told.held} " in stream.getvalue()
    with writer(stream, repetition=Repetition(burst=1, seconds=60.0)):
        for _ in range(5):
            LOGGER.info("at the end")
    assert "at the end repeated=4" in stream.getvalue()


def test_what_cannot_be_written_costs_itself_alone() -> None:
    """A line that cannot be made, and a watcher that breaks."""

    class Broken(Nobody):
        def log_line(self, level: str) -> None:
            raise RuntimeError(level)

    stream = io.StringIO()
    with writer(stream) as made:
        LOGGER.info("cannot be shown")
        LOGGER.info("one")
        made.flush()
        made.watch = Broken()
        LOGGER.info("two")
        made.watch = Nobody()
        LOGGER.info("three")
    assert stream.getvalue() == "one\nthree\n"
