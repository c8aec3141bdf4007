"""The options.

Invariant tested: each is a field of a scenario, and takes what it says and nothing else.
It must not know what options do.
"""

from dataclasses import fields

import pytest

from gateway.upstream.simulator.options import OPTIONS
from gateway.upstream.simulator.scenario import Scenario

# Option -> a text it takes with its value, and texts it does not take.
EXAMPLES: dict[str, tuple[str, object, list[str]]] = {
    "seconds": ("0.1", 0.1, ["0", "601", "x", "nan", ""]),
    "speed": ("0", 0.0, ["-1", "1001", "inf"]),
    "slice": ("1000000", 1000000, ["0", "1.5", "99999999"]),
    "bitrate": ("128000", 128000, ["128", "128001", "x"]),
    "wait": ("0.5", 0.5, ["-1"]),
    "hold": ("1", 1.0, ["301"]),
    "mute": ("0", 0.0, ["601", "x"]),
    "id3": ("0", False, ["yes", ""]),
    "xing": ("1", True, ["2"]),
    "vbr": ("1", True, ["on"]),
    "wav": ("0xFFFFFFFF", "0xFFFFFFFF", ["1", "0xffffffff"]),
    "lines": ("crlf", "crlf", ["CRLF", ""]),
    "multiline": ("1", True, ["3"]),
    "no_last_blank": ("1", True, ["x"]),
    "drip": ("1", 1, ["0"]),
    "pause": ("0", 0.0, ["11"]),
    "type": ("text/html", "text/html", ["html", "a/b\r\nX: y"]),
    "url": ("0", False, ["none"]),
    "usage": ("0", False, ["none"]),
    "rate": ("number", "number", ["48000"]),
    "stop_audio": ("1", True, ["x"]),
    "after": ("2.5", 2.5, ["-0.1"]),
    "times": ("3", 3, ["0"]),
    "id": ("a-1._", "a-1._", ["", "a b", "x" * 65]),
    "status": ("418", 418, ["200", "600"]),
    "code": ("Throttling.BurstRate", "Throttling.BurstRate", ["", "a b"]),
    "message": ("a b\u2028c", "a b\u2028c", ["", "x" * 501]),
    "shape": ("framed", "framed", ["html"]),
    "retry_after": ("7", 7, ["soon"]),
    "silence": ("0.2", 0.2, ["-1"]),
    "heartbeat": ("0.1", 0.1, ["0"]),
    "how": ("reset", "reset", ["rst"]),
    "torn": ("1", True, ["half"]),
    "size": ("20000000", 20000000, ["0", "x"]),
}


def test_each_option_is_a_field() -> None:
    """Whatever a scenario holds beside its names can be set, and nothing else; and each has its example here."""
    held = {field.name for field in fields(Scenario)} - {"tune", "fault"}
    assert held == set(OPTIONS) == set(EXAMPLES)


@pytest.mark.parametrize("name", EXAMPLES)
def test_what_an_option_takes(name: str) -> None:
    """Its example is read, the others are refused."""
    text, value, others = EXAMPLES[name]
    read = OPTIONS[name].read(text)
    assert (read, type(read)) == (value, type(value))
    for other in others:
        with pytest.raises((ValueError, KeyError)):
            OPTIONS[name].read(other)


def test_each_option_is_documented() -> None:
    """It says what it does and what it takes."""
    assert all(option.does and option.allowed for option in OPTIONS.values())
