"""Saying that something happened: the table's level unless the caller knows better, at the caller's place.

Invariant: records are caught by a handler of the test's own.
They must not know how a line looks.
"""

import logging
import sys
from collections.abc import Iterator

import pytest

from gateway.log.events import Words, event

LOGGER = logging.getLogger("wavegate.test.events")


class Keeper(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.seen.append(record)


@pytest.fixture
def seen() -> Iterator[list[logging.LogRecord]]:
    keeper = Keeper()
    LOGGER.addHandler(keeper)
    LOGGER.setLevel(logging.INFO)
    yield keeper.seen
    LOGGER.removeHandler(keeper)


def test_the_level_is_the_tables(seen: list[logging.LogRecord]) -> None:
    """Unless another one is given; what is below the threshold is not made."""
    event(LOGGER, "stream.ended")
    event(LOGGER, "stream.ended", level=logging.WARNING)
    event(LOGGER, "redis.away")
    event(LOGGER, "stream.queued")
    event(LOGGER, "unheard.of")
    assert [(record.msg, record.levelname) for record in seen] == [
        ("stream.ended", "INFO"),
        ("stream.ended", "WARNING"),
        ("redis.away", "ERROR"),
        ("unheard.of", "INFO"),
    ]


def test_it_tells_its_place(seen: list[logging.LogRecord]) -> None:
    """The place that a record names is the one that logged the event; a field may have any name."""
    event(LOGGER, "stream.ended", name="field called name")
    assert seen[0].funcName == sys._getframe().f_code.co_name
    assert seen[0].__dict__["fields"] == {"name": "field called name"}


def test_an_exception(seen: list[logging.LogRecord]) -> None:
    """The one that is being handled, or one that is given."""
    fault = ValueError("mine")
    event(LOGGER, "task.broke", exc_info=fault)
    try:
        raise KeyError
    except KeyError:
        event(LOGGER, "task.broke", exc_info=True)
    event(LOGGER, "task.broke")
    kinds = [record.exc_info[0] if record.exc_info else None for record in seen]
    assert kinds == [ValueError, KeyError, None]


def test_words() -> None:
    """How long they are, or their beginning."""
    assert Words(None).shown(openly=True) is None
    assert Words("la la").shown(openly=False) == "<5 characters>"
    assert Words("la la").shown(openly=True) == "la la"
    assert Words("x" * 81).shown(openly=True) == "x" * 80 + "..."
