"""How the log is set up: levels, libraries, twice, colours, standard error; what becomes of records is told.

Invariant: every test writes to a stream of its own, and the loggers are afterwards what they were before.
They must not know what the gateway logs.
"""

import fcntl
import io
import json
import logging
import os
import pty
import struct
import termios
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.config.secret import Secret
from gateway.log import event
from gateway.log.setup import LIBRARIES, OURS, conceal, configure, watch
from gateway.log.writing import Nobody, Writer
from tests.support.log import logged, restored

LOGGER = logging.getLogger("wavegate.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    with restored():
        yield


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_levels() -> None:
    """Records below the level are not written; libraries write warnings and worse, never less than we do."""
    with logged("debug") as written:
        LOGGER.debug("ours")
        for name in ("asyncio", "aiohttp.access"):
            logging.getLogger(name).info("chatter")
            logging.getLogger(name).warning("trouble")
        written.writer.flush()
        assert [(entry["logger"], entry["event"]) for entry in written.entries] == [
            ("wavegate.test", "ours"),
            ("asyncio", "trouble"),
            ("aiohttp.access", "trouble"),
        ]
    with logged("error") as written:
        LOGGER.warning("less")
        logging.getLogger("asyncio").warning("less")
        written.writer.flush()
        assert written.text == ""
    with pytest.raises(KeyError):
        configure("loud", "console", io.StringIO())


def test_configured_twice() -> None:
    """The second call replaces the first; handlers of others stay, and nothing goes up to the root logger."""
    theirs = logging.NullHandler()
    logging.getLogger(OURS).addHandler(theirs)
    first, second = io.StringIO(), io.StringIO()
    configure("info", "json", first)
    LOGGER.info("one")
    writer = configure("info", "json", second)
    LOGGER.info("two")
    writer.flush()
    assert json.loads(first.getvalue())["event"] == "one"
    assert json.loads(second.getvalue())["event"] == "two"
    assert theirs in logging.getLogger(OURS).handlers
    assert not any(logging.getLogger(name).propagate for name in (OURS, *LIBRARIES))


@pytest.mark.parametrize(
    ("stream", "environ", "coloured"),
    [
        (Terminal(), {}, True),
        (Terminal(), {"NO_COLOR": ""}, True),
        (Terminal(), {"NO_COLOR": "1"}, False),
        (Terminal(), {"TERM": "dumb"}, False),
        (io.StringIO(), {}, False),
    ],
)
def test_colour(stream: io.StringIO, environ: dict[str, str], coloured: bool) -> None:
    """Only on a terminal that can show it and whose user wants it."""
    writer = configure("info", "console", stream, environ=environ)
    LOGGER.warning("careful")
    writer.flush()
    assert ("\x1b[33mwarn \x1b[0m" in stream.getvalue()) is coloured
    assert ("\x1b" in stream.getvalue()) is coloured


@pytest.mark.parametrize("columns", [80, 160])
def test_a_terminal(columns: int) -> None:
    """No line is wider than it is at this moment."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    with os.fdopen(theirs, "w") as stream:
        writer = configure("info", "console", stream, environ={"NO_COLOR": "1"})
        fields: dict[str, Any] = {f"field{number}": "value" for number in range(20)}
        event(LOGGER, "stream.ended", **fields)
        writer.flush()
        lines = os.read(ours, 65536).decode().splitlines()
        writer.close()
    os.close(ours)
    assert len(lines) > 1
    assert all(len(line) <= columns for line in lines)
    assert "".join(lines).count("=value") == 20


def test_standard_error(capfd: pytest.CaptureFixture[str]) -> None:
    """Without a stream, standard error of the moment is written to."""
    writer = configure("info", "console", environ={})
    LOGGER.info("here")
    writer.flush()
    assert "here" in capfd.readouterr().err


def test_who_watches_is_told() -> None:
    """From when it is said, where the log was set up."""
    levels: list[str] = []

    class Told(Nobody):
        def log_line(self, level: str) -> None:
            levels.append(level)

    watch(Told())
    with logged():
        LOGGER.info("before")
        watch(Told())
        LOGGER.warning("after")
    assert levels == ["warning"]


def test_secrets_that_come_later_are_hidden_from_then_on() -> None:
    """In either form, beside those that were there; a handler that makes its own lines is told and does nothing."""
    logging.getLogger(OURS).addHandler(Writer(io.StringIO(), lambda record, known: ""))
    for form in ("json", "console"):
        with logged(form=form, secrets=[Secret("first-secret")]) as written:
            LOGGER.info("first-secret second-secret third-secret")
            written.writer.flush()
            conceal([Secret("second-secret")])
            conceal([Secret("third-secret")])
            LOGGER.info("first-secret second-secret third-secret")
            written.writer.flush()
            before, after = written.text.splitlines()
        assert "*** second-secret third-secret" in before
        assert "*** *** ***" in after
