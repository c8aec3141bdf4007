"""The options of a scenario: how each value is read, what may stand there, and what it does.

Invariant: every field of a `Scenario` beside its two names is a row here, under the same name; a reader raises
ValueError for whatever it does not take. It must not know which fault takes which option, nor the wire.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from gateway.upstream.simulator.heads import WAV_FORMS
from transcode.mp3header import bitrates

_MEGABYTE = 1 << 20


@dataclass(frozen=True, slots=True)
class Option:
    """A row: `read` turns the text into the value, `allowed` says which texts it takes."""

    read: Callable[[str], Any]
    allowed: str
    does: str


def _number(kind: type[int] | type[float], low: float, high: float, does: str) -> Option:
    def read(text: str) -> float:
        value = kind(text)
        if not low <= value <= high:
            raise ValueError
        return value

    return Option(read, f"{low} to {high}", does)


_whole = partial(_number, int)
_seconds = partial(_number, float)


def _choice(*allowed: str, does: str) -> Option:
    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError
        return text

    return Option(read, ", ".join(allowed), does)


def _switch(does: str) -> Option:
    return Option(lambda text: {"0": False, "1": True}[text], "0, 1", does)


def _text(pattern: str, allowed: str, does: str) -> Option:
    def read(text: str) -> str:
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return Option(read, allowed, does)


def _bitrate(text: str) -> int:
    if int(text) not in bitrates(48000):
        raise ValueError
    return int(text)


OPTIONS: dict[str, Option] = {
    # the song and its pace
    "seconds": _seconds(0.1, 600, "how much audio there is"),
    "speed": _seconds(0, 1000, "multiple of real time; 0 is as fast as possible"),
    "slice": _whole(1, 16 * _MEGABYTE, "bytes of audio in one event"),
    "bitrate": Option(_bitrate, ", ".join(map(str, bitrates(48000))), "of an mp3 of constant bitrate, in bit/s"),
    "wait": _seconds(0, 300, "seconds before the first event, or before an answer that has none"),
    "hold": _seconds(0, 300, "seconds before anything at all is answered, status and headers too"),
    "mute": _seconds(0, 600, "seconds of audio from which on it is digital silence"),
    # the bytes of the song
    "id3": _switch("whether an mp3 begins with a tag"),
    "xing": _switch("an Info frame stands before the first frame of an mp3, a Xing frame if it is a vbr one"),
    "vbr": _switch("an mp3 of variable bitrate"),
    "wav": _choice(*WAV_FORMS, does="the sizes that a wav's header tells, its longer form, or no header"),
    # how an answer is written
    "lines": _choice("lf", "crlf", "cr", does="how lines end"),
    "multiline": _switch("an event's document goes over several data lines"),
    "no_last_blank": _switch("the last event ends with its last character, without line end and blank line"),
    "drip": _whole(1, _MEGABYTE, "at most so many bytes at a time"),
    "pause": _seconds(0, 10, "seconds between the bytes of a drip"),
    "type": _text(r"[\w.+-]+/[\w.+-]+", "a media type", "the content type of the answer"),
    # the last event, and the document of a call that does not stream
    "url": _switch("whether the file's url is told"),
    "usage": _switch("whether the billed seconds are told"),
    "rate": _choice("string", "number", "none", does="how the sample rate is told"),
    "stop_audio": _switch("the last slice of the audio is on the last event"),
    # when a fault happens
    "after": _seconds(0, 600, "seconds of audio before it happens; beyond the end is right before the last event"),
    "times": _whole(1, 1000, "it happens to so many requests with the same id, and then no more"),
    "id": _text(r"[\w.-]{1,64}", "1 to 64 letters, digits, . _ and -", "the name under which requests are counted"),
    # what a fault does
    "status": _whole(400, 599, "HTTP status of the refusal"),
    "code": _text(r"[\w.-]{1,100}", "1 to 100 letters, digits, . _ and -", "the provider's code of the refusal"),
    "message": _text(r".{1,500}", "1 to 500 characters, in quotes where they hold spaces", "its sentence"),
    "shape": _choice(
        "flat",
        "event",
        "framed",
        "openai",
        "result",
        does="how it is said: a document with an HTTP status; an error event in a 200; an event with an HTTP status as "
        "application/json; a document as OpenAI writes it; an ordinary event that holds an error",
    ),
    "retry_after": _whole(0, 3600, "seconds in a Retry-After header, where the refusal has an HTTP status"),
    "silence": _seconds(0, 3600, "seconds without a sound"),
    "heartbeat": _seconds(0.001, 60, "seconds between comments in the silence; without it there are none"),
    "how": _choice("end", "close", "reset", does="the body ends as if whole; the connection is closed; it is reset"),
    "torn": _switch("half of the next event goes out first"),
    "size": _whole(1, 64 * _MEGABYTE, "bytes"),
}
