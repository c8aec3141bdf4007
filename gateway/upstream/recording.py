"""The form of a recorded generation: JSON lines, written and read here, so that the two cannot drift apart.

    {"wavegate_flight": 1, "time": "2026-05-06T07:08:09.123Z", "model": ..., "mode": "stream", "request": {...}}
    {"t": 0.41, "status": 200, "headers": {...}}
    {"t": 0.52, "data": "<base64>"}                        for each slice as it came, seconds since the start
    {"t": 9.87, "end": null}                               or our code of the error

Invariant: a file without its last line is no recording. It must not know what the bytes mean.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

VERSION = 1


class RecordingError(ValueError):
    """The file is not a recording; the message names the file, and the line if there is one."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came before the body. `at` is in seconds since the start."""

    at: float
    status: int
    headers: dict[str, str]


@dataclass(frozen=True, slots=True)
class Piece:
    """A slice of the body, and when it came, in seconds since the start."""

    at: float
    data: bytes


@dataclass(frozen=True, slots=True)
class Recording:
    """One generation as it went. `time` is when it started, in UTC; `error_code` is None if it went well."""

    time: str
    model: str
    mode: str
    request: dict[str, Any]
    answer: Answer
    pieces: tuple[Piece, ...]
    ended_at: float
    error_code: str | None


class _Head(msgspec.Struct):
    wavegate_flight: int
    time: str
    model: str
    mode: str
    request: dict[str, Any]


class _Line(msgspec.Struct, omit_defaults=True):
    t: float
    status: int | msgspec.UnsetType = msgspec.UNSET
    headers: dict[str, str] | msgspec.UnsetType = msgspec.UNSET
    data: bytes | msgspec.UnsetType = msgspec.UNSET
    end: str | msgspec.UnsetType | None = msgspec.UNSET


_heads = msgspec.json.Decoder(_Head)
_lines = msgspec.json.Decoder(_Line)


def head_line(*, time: str, model: str, mode: str, request: Mapping[str, Any]) -> bytes:
    """The first line."""
    return _written(_Head(VERSION, time, model, mode, dict(request)))


def answer_line(at: float, status: int, headers: Mapping[str, str]) -> bytes:
    """The line of the provider's status and headers."""
    return _written(_Line(round(at, 6), status=status, headers=dict(headers)))


def data_line(at: float, data: bytes) -> bytes:
    """The line of a slice."""
    return _written(_Line(round(at, 6), data=data))


def end_line(at: float, error_code: str | None) -> bytes:
    """The last line."""
    return _written(_Line(round(at, 6), end=error_code))


def read_flight(path: Path) -> Recording:
    """The recording in a file, wholly in memory. Blocks. Raises RecordingError."""
    try:
        lines = path.read_bytes().splitlines()
    except OSError as error:
        raise RecordingError(f"{path} cannot be read: {error.strerror}.") from None
    try:
        head = _heads.decode(lines[0] if lines else b"")
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise RecordingError(f"{path} is not a recording: its first line is not the head of one.") from None
    if head.wavegate_flight != VERSION:
        raise RecordingError(f"{path} is a recording of version {head.wavegate_flight}, not {VERSION}.")
    answer: Answer | None = None
    pieces: list[Piece] = []
    now = 0.0
    for number, text in enumerate(lines[1:], 2):
        try:
            line = _lines.decode(text)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise RecordingError(f"{path}, line {number}, cannot be read: {error}.") from None
        if not now <= line.t < math.inf:
            raise RecordingError(f"{path}, line {number}: its time is before that of the line above it.")
        now = line.t
        if line.end is not msgspec.UNSET:
            if number < len(lines):
                raise RecordingError(f"{path}, line {number + 1}, stands after the end.")
            if answer is None:
                raise RecordingError(f"{path} holds no answer.")
            return Recording(head.time, head.model, head.mode, head.request, answer, tuple(pieces), line.t, line.end)
        if line.data is not msgspec.UNSET and answer is not None:
            pieces.append(Piece(now, line.data))
        elif line.status is not msgspec.UNSET and answer is None and 100 < line.status < 600:
            answer = Answer(now, line.status, line.headers or {})
        else:
            raise RecordingError(f"{path}, line {number}, does not belong there.")
    raise RecordingError(f"{path} has no last line: its recording was not finished.")


def _written(line: msgspec.Struct) -> bytes:
    return msgspec.json.encode(line) + b"\n"
