"""What comes over the wire and when, taken down while it comes: reads, lines, events, slices of audio, JSON types.

Invariant: it only looks: nothing that it meets raises. Of the provider's texts it keeps names, numbers and its codes;
lyrics, urls and messages are only counted. Times are seconds since the call. It must not know HTTP.
"""

import re
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.errors import UpstreamError
from gateway.model import AudioDelta
from gateway.protocol.dashscope import GenerationDecoder
from gateway.protocol.sse import SseDecoder, SseEvent

_NAME = re.compile(r"[\w.-]{1,64}", re.ASCII)
_NUMERAL = re.compile(r"-?[0-9.]{1,20}")
_CODE = re.compile(rb'"code"\s*:\s*"([A-Za-z][\w.-]{0,63})"')
_STATUS_COMMENT = b"HTTP_STATUS/"
_OTHER = "(other)"

# Bounds for an answer that is not what was expected; the real one stays far below them.
_LINE_HEAD = 80
_MOST_NAMES = 100
_MOST_COMMENTS = 10_000
_DEEPEST = 6
_BEGINNING = 4096


@dataclass(frozen=True, slots=True)
class Slice:
    """The audio of one event."""

    at: float
    data: bytes


class Lines:
    """The lines of the answer, below its events: how they end, which fields they have, when comments come.

    `comments` holds the times of those that are not the status of an event: heartbeats, as far as is known.
    """

    def __init__(self) -> None:
        self.ends: Counter[str] = Counter()
        self.fields: Counter[str] = Counter()
        self.comments: list[float] = []
        self._head = b""
        self._after_cr = False

    def feed(self, at: float, data: bytes) -> None:
        for line in data.splitlines(keepends=True):
            content = line.rstrip(b"\r\n")
            end = line[len(content) :]
            if self._after_cr and line == b"\n":
                self.ends["CR"] -= 1
                self.ends["CRLF"] += 1
                self._after_cr = False
                continue
            self._after_cr = end == b"\r"
            self._head += content[: _LINE_HEAD - len(self._head)]
            if end:
                self.ends[{b"\n": "LF", b"\r": "CR"}.get(end, "CRLF")] += 1
                self._line(at, self._head)
                self._head = b""

    def _line(self, at: float, line: bytes) -> None:
        field, _, value = line.partition(b":")
        if field:
            _count(self.fields, _named(field.decode("ascii", "replace")))
        elif line and not value.strip().startswith(_STATUS_COMMENT) and len(self.comments) < _MOST_COMMENTS:
            self.comments.append(at)


class WireLog:
    """Feed it each read of one answer. `code` is the provider's own code of the error it sent, if it sent one.

    `types` has the JSON types seen at each path of the documents; `usage` and `extra_info` are the last ones said,
    their texts replaced by lengths; `statuses` counts what the events' comments said.
    """

    def __init__(self, max_event_bytes: int) -> None:
        self.reads: list[tuple[float, int]] = []
        self.lines = Lines()
        self.slices: list[Slice] = []
        self.events: Counter[str] = Counter()
        self.statuses: Counter[str] = Counter()
        self.first_event: float | None = None
        self.multiline = 0
        self.types: dict[str, set[str]] = {}
        self.finish_reasons: Counter[str] = Counter()
        self.usage: dict[str, Any] | None = None
        self.extra_info: dict[str, Any] | None = None
        self.expires_at: int | None = None
        self.failed = False
        self.code: str | None = None
        self.status: int | None = None
        self.beginning = b""
        self._sse = SseDecoder(max_event_bytes)
        self._generation = GenerationDecoder()

    @property
    def request_id(self) -> str | None:
        """The provider's name for the generation, once an event has said it."""
        return self._generation.request_id

    def feed(self, at: float, data: bytes) -> None:
        """What a read gave; nothing is the end, where an event without its blank line counts."""
        with suppress(UpstreamError):
            if data:
                self.reads.append((at, len(data)))
                self.beginning += data[: _BEGINNING - len(self.beginning)]
                self.lines.feed(at, data)
            for event in self._sse.feed(data) if data else self._sse.flush():
                self._event(at, event)

    def _event(self, at: float, event: SseEvent) -> None:
        if self.first_event is None:
            self.first_event = at
        _count(self.events, _named(event.event))
        _count(self.statuses, str(event.status or "not said"))
        self.multiline += b"\n" in event.data
        with suppress(ValueError, RecursionError):
            document = msgspec.json.decode(event.data)
            self._types(document, "", 0)
            self._said(document)
        try:
            for said in self._generation.feed(event):
                if isinstance(said, AudioDelta):
                    self.slices.append(Slice(at, said.data))
        except UpstreamError:
            self.failed, self.code, self.status = True, provider_code(event.data), event.status

    def _types(self, value: object, path: str, depth: int) -> None:
        if isinstance(value, dict) and depth < _DEEPEST:
            for name, inner in value.items():
                self._types(inner, f"{path}.{_named(name)}".lstrip("."), depth + 1)
        elif path in self.types or len(self.types) < _MOST_NAMES:
            self.types.setdefault(path, set()).add(_type(value))

    def _said(self, document: object) -> None:
        if not isinstance(document, dict):
            return
        if isinstance(usage := document.get("usage"), dict):
            self.usage = _without_texts(usage)
        output = document.get("output")
        if not isinstance(output, dict):
            return
        if "finish_reason" in output:
            reason = output["finish_reason"]
            # As in JSON, because the provider says "null" as a string.
            _count(self.finish_reasons, f'"{_named(reason)}"' if isinstance(reason, str) else _type(reason))
        if isinstance(extra := output.get("extra_info"), dict):
            self.extra_info = _without_texts(extra)
        if isinstance(audio := output.get("audio"), dict) and isinstance(expires := audio.get("expires_at"), int):
            self.expires_at = expires


def provider_code(body: bytes) -> str | None:
    """The code in an error, in whichever shape it was sent: an identifier, never a sentence."""
    match = _CODE.search(body)
    return match[1].decode() if match else None


def _count(counter: Counter[str], name: str) -> None:
    counter[name if name in counter or len(counter) < _MOST_NAMES else _OTHER] += 1


def _named(text: str) -> str:
    return text if _NAME.fullmatch(text) else _OTHER


def _type(value: object) -> str:
    names = {bool: "boolean", int: "integer", float: "number", str: "string", list: "array", dict: "object"}
    return names.get(type(value), "null")


def _without_texts(document: dict[str, Any]) -> dict[str, Any]:
    """Numbers, also those written as strings, stay; of texts the length is told."""
    kept: dict[str, Any] = {}
    for name, value in list(document.items())[:_MOST_NAMES]:
        if isinstance(value, str) and not _NUMERAL.fullmatch(value):
            kept[_named(name)] = f"({len(value)} characters)"
        else:
            kept[_named(name)] = f"({_type(value)})" if isinstance(value, dict | list) else value
    return kept
