"""How records look: one entry each, nothing injected, nothing secret, nobody's words, nothing raised.

Invariant: records are made by hand, so no logger and no stream is touched.
They must not know what the gateway logs.
"""

import json
import logging
import sys
from datetime import UTC
from typing import Any

import pytest
from aiohttp.http_exceptions import InvalidHeader

from gateway.config.secret import Secret
from gateway.log.events import Words
from gateway.log.form import ConsoleForm, JsonForm, without_words
from gateway.log.ids import Bound


class Unprintable:
    def __str__(self) -> str:
        raise RuntimeError("topsecret")


def record(message: str = "stream.started", *args: Any, level: int = logging.INFO, **fields: Any) -> logging.LogRecord:
    made = logging.LogRecord("wavegate.test", level, __file__, 1, message, args, None)
    made.created = 1_800_000_000.25
    made.__dict__["fields"] = fields
    return made


def test_console_line() -> None:
    """An entry has time, level, event and fields in columns, values quoted only where they would be unclear."""
    form = ConsoleForm(zone=UTC)
    fields: dict[str, Any] = {"note": "two words", "empty": "", "rate": 0.123456789, "count": 3, "none": None}
    assert form.line(record(**fields)) == (
        '08:00:00.250 info  stream.started       note="two words" empty="" rate=0.123457 count=3'
    )
    assert form.line(record("draining", level=logging.WARNING)) == "08:00:00.250 warn  draining"
    assert form.line(record("%s of %d", "one", 2)) == "08:00:00.250 info  one of 2"
    assert form.line(record(song="你好", words="a=b", list=[1, "x"], of=["a", "b.c"])).endswith(
        'song=你好 words="a=b" list=[1, "x"] of=a,b.c'
    )


def test_console_of_trouble_has_all_ids() -> None:
    """Usual news says itself what it is about; who looks into a warning needs the rest; a library is named."""
    form, known = ConsoleForm(zone=UTC), Bound({"request_id": "rq_1", "tenant": "acme"})
    assert "acme" not in form.line(record(), known)
    assert form.line(record(level=logging.WARNING, tenant=None), known).endswith("tenant=acme request=rq_1")
    library = logging.LogRecord("aiohttp.server", logging.ERROR, __file__, 1, "trouble", (), None)
    assert form.line(library).endswith("error trouble              logger=aiohttp.server")


def test_json_line() -> None:
    """A line is one JSON object with the time in UTC and the fields beside the event, then the ids of its task."""
    known = Bound({"stream_id": "another", "request_id": "rq_1"})
    line = JsonForm().line(record(stream_id="st_1", rate=0.5, event="again", nested={"a": (1, None)}), known)
    assert "\n" not in line
    assert json.loads(line) == {
        "time": "2027-01-15T08:00:00.250+00:00",
        "level": "info",
        "logger": "wavegate.test",
        "event": "stream.started",
        "stream_id": "st_1",
        "rate": 0.5,
        "event_": "again",
        "nested": {"a": [1, None]},
        "request_id": "rq_1",
    }


def test_values_that_json_lacks() -> None:
    """Infinity, bytes, sets and objects become something readable; audio never fills the log; depth ends somewhere."""
    deep: dict[str, Any] = {}
    deep["again"] = deep
    line = JsonForm().line(
        record(inf=float("inf"), audio=b"x" * 5, s={1}, o=Unprintable(), deep=deep, k=Secret("s"), w=Words(None))
    )
    entry = json.loads(line, parse_constant=pytest.fail)
    assert entry["inf"] == "inf"
    assert entry["audio"] == "<5 bytes>"
    assert entry["s"] == [1]
    assert entry["o"] == "<Unprintable that cannot be shown: RuntimeError>"
    assert entry["k"] == "Secret(***)"
    assert entry["w"] is None
    assert len(line) < 1000


@pytest.mark.parametrize(
    "evil", ["a\nb", "a\r\nb", "a\x1b[2Jb", "a\x00b", "a\x85b", "a\u2028b", "a\u202eb", "a\ud800b"]
)
def test_no_injection(evil: str) -> None:
    """A control character in a message, an argument, a field, its name or an id never reaches the stream."""
    named: dict[str, Any] = {evil: 1}
    for made in (record(evil), record("%s", evil), record(field=evil), record(**named), record(list=[evil])):
        for line in (ConsoleForm().line(made), JsonForm().line(made)):
            assert evil[1] not in line
            assert line.encode("utf-8")
    bound = Bound({"request_id": evil})
    assert evil[1] not in ConsoleForm().line(record(level=logging.ERROR), bound) + JsonForm().line(record(), bound)


def test_backslashes_are_not_ambiguous() -> None:
    """A value with a backslash and an n looks different from one with a newline."""
    form = ConsoleForm()
    assert form.line(record(field="a\\nb")) != form.line(record(field="a\nb"))


def broken(text: str) -> logging.LogRecord:
    try:
        raise ValueError(text)
    except ValueError:
        made = logging.LogRecord("wavegate.test", logging.ERROR, __file__, 1, "it.broke", (), sys.exc_info())
    made.stack_info = "Stack (most recent call last):\n  somewhere"
    return made


def test_exceptions() -> None:
    """They come with the record, and a forged line in a message cannot begin an entry."""
    made = broken("first\n08:00:00.250 info     forged\r")
    first, *rest = ConsoleForm().line(made).split("\n")
    assert "it.broke" in first
    assert all(line.startswith("    | ") for line in rest)
    assert "Traceback (most recent call last):" in rest[0]
    assert "Stack (most recent call last):" in rest[-2]
    entry = json.loads(JsonForm().line(made))
    assert "forged" in entry["exception"]
    nothing = logging.LogRecord("wavegate.test", logging.ERROR, __file__, 1, "it.broke", (), (None, None, None))
    assert "exception" not in json.loads(JsonForm().line(nothing))


@pytest.mark.parametrize("form", [ConsoleForm, JsonForm])
def test_secrets_are_redacted(form: type[ConsoleForm] | type[JsonForm]) -> None:
    """A known secret appears nowhere: message, arguments, fields, names, nested values, exceptions, objects, ids."""
    key = 'top"secret'
    made = form({Secret(key)})
    named: dict[str, Any] = {key: 1}
    lines = [
        made.line(record("message " + key)),
        made.line(record("argument %s", key)),
        made.line(record("arguments do not fit %d", key)),
        made.line(record("too many", key)),
        made.line(record("fields", value=key, nested={"a": [key], key: 1}, error=ValueError(key), **named)),
        made.line(broken(key)),
        made.line(record("form Bearer abcdef and sk-abcdefgh"), Bound({"request_id": key})),
    ]
    text = "\n".join(lines)
    assert "secret" not in text
    assert "abcdef" not in text
    assert text.count("***") >= 9


def test_a_secret_that_comes_later() -> None:
    """One that is added to the collection after the start, such as a rotated key, is hidden from then on."""
    secrets: set[Secret] = set()
    form = JsonForm(secrets)
    assert "topsecret" in form.line(record("topsecret"))
    secrets.add(Secret("topsecret"))
    assert "topsecret" not in form.line(record("topsecret"))


WORDS = 'Sing of "the sea",\nand of Überfluss\tin the evening'


@pytest.mark.parametrize("text", [WORDS, repr(WORDS), json.dumps(WORDS), "and of Überfluss\tin the evening"])
def test_nobodys_words(text: str) -> None:
    """What somebody wrote is hidden in whatever the task logs, as a whole, by line, and quoted; ours stays."""
    known = Bound({}, (WORDS, "blues"))
    for form in (ConsoleForm(), JsonForm()):
        line = form.line(record("went wrong", about=text, ours="we say so"), known) + form.line(broken(text), known)
        for word in ("sea", "berfluss", "evening"):
            assert word not in line
        assert "went wrong" in line
        assert "***" in line
    assert "berfluss" in JsonForm(prompts=True).line(record(about=text), known)


def test_words_as_a_field() -> None:
    """Their length, or their beginning where that is wanted; a key that somebody wrote stays hidden."""
    words = Words("la " * 40 + "sk-abcdefgh")
    assert json.loads(JsonForm().line(record(words=words)))["words"] == "<131 characters>"
    shown = json.loads(JsonForm(prompts=True).line(record(words=words)))["words"]
    assert shown == "la " * 26 + "la..."
    assert json.loads(JsonForm(prompts=True).line(record(words=Words("my sk-abcdefgh"))))["words"] == "my sk-***"


def test_text_without_words_is_as_it_was() -> None:
    """Nothing to hide changes nothing."""
    assert without_words("as it was", ()) == "as it was"


def test_what_a_parser_quotes_of_a_request_is_not_written() -> None:
    """Of an error of aiohttp's parser its kind, for its words and frames hold the line that it could not read."""
    made = record("Error handling request")
    try:
        raise InvalidHeader("Authorization: Bearer\x00topsecret")
    except InvalidHeader:
        made.exc_info = sys.exc_info()
    assert json.loads(JsonForm().line(made))["exception"] == "InvalidHeader"
    assert ConsoleForm().line(made).splitlines()[1:] == ["    | InvalidHeader"]
