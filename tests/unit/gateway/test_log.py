"""The log's form: one entry a record, aligned or JSON, nothing injected, nothing secret, nothing raised.

Invariant: every test writes to a stream of its own, and the loggers are afterwards what they were before.
They must not know what the gateway logs, only how it looks.
"""

import io
import json
import logging
import sys
from collections.abc import Iterator
from datetime import UTC
from typing import Any, Literal

import pytest

from gateway.config.secret import Secret
from gateway.log import ConsoleFormatter, JsonFormatter, configure, event

NAMES = ("wavegate", "asyncio", "aiohttp")
LOGGER = logging.getLogger("wavegate.test")


@pytest.fixture(autouse=True)
def _restored() -> Iterator[None]:
    loggers = [logging.getLogger(name) for name in NAMES]
    before = [(logger.handlers, logger.level, logger.propagate) for logger in loggers]
    yield
    for logger, (handlers, level, propagate) in zip(loggers, before, strict=True):
        logger.handlers, logger.propagate = handlers, propagate
        logger.setLevel(level)


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("topsecret")


def record(message: str = "stream.started", *args: Any, level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("wavegate.test", level, __file__, 1, message, args, None)
    made.created = 1_800_000_000.25
    made.__dict__["fields"] = fields
    return made


def started(
    form: Literal["console", "json"] = "console", level: str = "info", secrets: Any = (), **more: Any
) -> io.StringIO:
    stream = more.pop("stream", None) or io.StringIO()
    configure(level, form, stream, secrets=secrets, environ=more.pop("environ", {}))
    return stream


def test_console_line() -> None:
    """A line has time, level, event and fields in columns, values quoted only where they would be unclear."""
    formatter = ConsoleFormatter(zone=UTC)
    fields: dict[str, Any] = {
        "stream": "st_1",
        "note": "two words",
        "empty": "",
        "rate": 0.123456789,
        "count": 3,
        "none": None,
    }
    assert formatter.format(record(**fields)) == (
        "08:00:00.250 info     stream.started            "
        'stream=st_1 note="two words" empty="" rate=0.123457 count=3 none=null'
    )
    assert formatter.format(record("draining", level=logging.WARNING)) == "08:00:00.250 warning  draining"
    assert formatter.format(record("%s of %d", "one", 2)) == "08:00:00.250 info     one of 2"
    assert formatter.format(record(song="你好", words="a=b", list=[1, "x"])).endswith(
        'song=你好 words="a=b" list=[1, "x"]'
    )


def test_json_line() -> None:
    """A line is one JSON object with the time in UTC and the fields beside the event."""
    line = JsonFormatter().format(record(stream="st_1", rate=0.5, event="again", nested={"a": (1, None)}))
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "info",
        "logger": "wavegate.test",
        "event": "stream.started",
        "stream": "st_1",
        "rate": 0.5,
        "event_": "again",
        "nested": {"a": [1, None]},
    }


def test_values_that_json_lacks() -> None:
    """Infinity, bytes, sets and objects become something readable; audio never fills the log; depth ends somewhere."""
    deep: dict[str, Any] = {}
    deep["again"] = deep
    line = JsonFormatter().format(
        record(inf=float("inf"), audio=b"x" * 5, s={1}, o=Unprintable(), deep=deep, k=Secret("s"))
    )
    entry = json.loads(line, parse_constant=pytest.fail)
    assert entry["inf"] == "inf"
    assert entry["audio"] == "<5 bytes>"
    assert entry["s"] == [1]
    assert entry["o"] == "<Unprintable that cannot be shown: RuntimeError>"
    assert entry["k"] == "Secret(***)"
    assert len(line) < 1000


@pytest.mark.parametrize(
    "evil", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x00b", "a\x85b", "a\u2028b", "a\u202eb", "a\ud800b"]
)
def test_no_injection(evil: str) -> None:
    """A control character in a message, an argument, a field or its name never reaches the stream."""
    named: dict[str, Any] = {evil: 1}
    for made in (record(evil), record("%s", evil), record(field=evil), record(**named), record(list=[evil])):
        for formatter in (ConsoleFormatter(), JsonFormatter()):
            line = formatter.format(made)
            assert evil[1] not in line
            assert line.encode("utf-8")


def test_backslashes_are_not_ambiguous() -> None:
    """A value with a backslash and an n looks different from one with a newline."""
    console = ConsoleFormatter()
    assert console.format(record(field="a\\nb")) != console.format(record(field="a\nb"))


@pytest.mark.parametrize("form", ["console", "json"])
def test_exceptions(form: Literal["console", "json"]) -> None:
    """An exception and a stack come with the record, and a forged line in a message cannot begin an entry."""
    stream = started(form)
    try:
        raise ValueError("first\n08:00:00.250 info     forged\r")
    except ValueError:
        event(LOGGER, "stream.failed", level=logging.ERROR, exc_info=True, stream="st_1")
        LOGGER.error("with stack", stack_info=True)
    lines = stream.getvalue().splitlines()
    entries = [line for line in lines if not line.startswith("    | ")]
    assert len(entries) == 2
    assert "Traceback (most recent call last):" in stream.getvalue()
    assert "Stack (most recent call last):" in stream.getvalue()
    assert "forged" not in "".join(entries) or form == "json"


@pytest.mark.parametrize("form", ["console", "json"])
def test_secrets_are_redacted(form: Literal["console", "json"]) -> None:
    """A known secret appears nowhere: message, arguments, fields, names, nested values, exceptions, objects."""
    secrets = {Secret('top"secret')}
    stream = started(form, "debug", secrets)
    key = 'top"secret'
    named: dict[str, Any] = {key: 1}
    LOGGER.info("message " + key)
    LOGGER.info("argument %s", key)
    LOGGER.info("arguments do not fit %d", key)
    LOGGER.info("too many", key)  # noqa: PLE1205 - the mistake is the test
    event(LOGGER, "fields", value=key, nested={"a": [key], key: 1}, error=ValueError(key), **named)
    try:
        raise ValueError(key)
    except ValueError:
        LOGGER.exception("exception", stack_info=True)
    LOGGER.info("form Bearer abcdef and sk-abcdefgh")
    text = stream.getvalue()
    # The lines above stand in the traceback's source lines, where the name of the variable is all there is.
    assert "secret" not in text.replace("_secrets_", "")
    assert "abcdef" not in text
    assert text.count("***") >= 10
    assert len([line for line in text.splitlines() if not line.startswith("    | ")]) == 7


def test_secret_that_comes_later() -> None:
    """A secret added to the collection after the start, such as a rotated key, is hidden from then on."""
    secrets: set[Secret] = set()
    stream = started(secrets=secrets)
    LOGGER.info("topsecret")
    secrets.add(Secret("topsecret"))
    LOGGER.info("topsecret")
    assert [line.split()[-1] for line in stream.getvalue().splitlines()] == ["topsecret", "***"]


def test_levels() -> None:
    """Records below the level are not written; libraries write warnings and worse, never less than we do."""
    stream = started(level="debug")
    LOGGER.debug("ours")
    for name in ("asyncio", "aiohttp.access"):
        logging.getLogger(name).info("chatter")
        logging.getLogger(name).warning("trouble")
    lines = stream.getvalue().splitlines()
    assert [line.split()[2] for line in lines] == ["ours", "trouble", "trouble"]
    assert lines[2].endswith("logger=aiohttp.access")
    stream = started(level="error")
    LOGGER.warning("less")
    logging.getLogger("asyncio").warning("less")
    assert stream.getvalue() == ""
    with pytest.raises(KeyError):
        configure("loud", "console", stream)


def test_library_in_json() -> None:
    """In JSON the logger stands in every entry, once."""
    stream = started("json")
    logging.getLogger("asyncio").error("slow callback")
    entry = json.loads(stream.getvalue())
    assert (entry["logger"], entry["event"]) == ("asyncio", "slow callback")
    assert "logger_" not in entry


def test_configured_twice() -> None:
    """The second call replaces the first; handlers of others stay, and nothing goes up to the root logger."""
    theirs = logging.NullHandler()
    logging.getLogger("wavegate").addHandler(theirs)
    first = started()
    second = started()
    LOGGER.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1
    assert theirs in logging.getLogger("wavegate").handlers
    assert not any(logging.getLogger(name).propagate for name in NAMES)


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
    """Colour only on a terminal that can show it and whose user wants it; a usual line has none anyway."""
    started(stream=stream, environ=environ)
    LOGGER.info("plain")
    assert "\x1b" not in stream.getvalue()
    LOGGER.warning("careful")
    assert ("\x1b[33mwarning\x1b[0m" in stream.getvalue()) is coloured


def test_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    """Without a stream, standard error of the moment is written to."""
    configure("info", "console", environ={})
    LOGGER.info("here")
    assert "here" in capsys.readouterr().err


def test_broken_stream(capsys: pytest.CaptureFixture[str]) -> None:
    """A stream that cannot be written costs the record, raises nothing, and prints no arguments elsewhere."""
    stream = started()
    stream.close()
    LOGGER.info("lost %s", "topsecret")
    assert capsys.readouterr() == ("", "")


def test_event_tells_its_place() -> None:
    """The place that a record names is the one that logged the event."""
    seen: list[logging.LogRecord] = []

    class Keeper(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            seen.append(record)

    keeper = Keeper()
    LOGGER.addHandler(keeper)
    try:
        started()
        event(LOGGER, "here", name="field called name")
    finally:
        LOGGER.removeHandler(keeper)
    assert seen[0].funcName == sys._getframe().f_code.co_name
    assert seen[0].__dict__["fields"] == {"name": "field called name"}
