"""DashScope's answers, sans-I/O: the envelope that all families of models share, in both directions.

Invariant: what comes in is either one of our events or an UpstreamError. Audio is base64 on the wire and becomes bytes
while the JSON is parsed, with no copy in between. The inverse, which the simulator speaks, stands in the same file so
that the two cannot drift apart. It must not know HTTP, the key, or how a call is written: each family's file does.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import msgspec

from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Billed, Finished, SourceEvent
from gateway.protocol.dashscope_errors import classify, error_from_body, find_error
from gateway.protocol.family import LastWord
from gateway.protocol.sse import SseEvent

SSE_HEADER = "X-DashScope-SSE"

# The provider writes numbers as strings here and there (sample_rate is an int in one answer, a string in the other).
_Number = int | float | str | None


class _Audio(msgspec.Struct):
    data: bytes | None = None
    url: str | None = None


class _ExtraInfo(msgspec.Struct):
    channels: _Number = None
    sample_rate: _Number = None
    lyrics: str | None = None


class _Output(msgspec.Struct):
    audio: _Audio | None = None
    extra_info: _ExtraInfo | None = None
    finish_reason: str | None = None


class _Usage(msgspec.Struct):
    duration: _Number = None
    characters: _Number = None


class _Answer(msgspec.Struct):
    output: _Output | None = None
    usage: _Usage | None = None
    request_id: str | None = None
    code: str | int | None = None
    message: str | None = None


_answers = msgspec.json.Decoder(_Answer)
_NOTHING: Mapping[str, Any] = {}
# No generation has so many seconds, characters or samples a second. What is told beyond it, NaN too, is not a number,
# and no bill: no ledger could take it, and none would be asked to for ever.
_MOST = 10_000_000


# -- what the gateway says and hears ---------------------------------------------------------------------------------


class GenerationDecoder:
    """The events of one streamed generation, in the order in which they come.

    `request_id` is the provider's name for it as soon as it is known, `finished` whether its last event has been seen.
    """

    def __init__(self, *, simulated: bool = False) -> None:
        self.request_id: str | None = None
        self.finished = False
        self._simulated = simulated
        self._accepted = False
        self._characters: int | None = None

    def feed(self, event: SseEvent) -> list[SourceEvent]:
        """What this event says; nothing for events of other kinds, or after the last. Raises UpstreamError."""
        if event.event == "error":
            error = error_from_body(event.status or 200, event.data)
            error.request_id = error.request_id or self.request_id
            raise error.again()
        if self.finished or event.event not in ("result", "message"):
            return []
        answer = _decode(event.data)
        self.request_id = answer.request_id or self.request_id
        if answer.code or (event.status or 200) >= 400:
            raise classify(event.status or 200, str(answer.code or ""), answer.message or "", self.request_id)
        if answer.output is None and (told := find_error(200, event.data)) is not None:
            raise told.again()
        events: list[SourceEvent] = []
        if not self._accepted:
            self._accepted = True
            events.append(Accepted(self.request_id or "", self._simulated))
        output = answer.output
        if output is None:
            return events
        characters = _whole(answer.usage.characters) if answer.usage is not None else None
        if characters is not None and characters != self._characters and output.finish_reason != "stop":
            self._characters = characters
            events.append(Billed(characters=characters))
        if output.audio is not None and output.audio.data:
            events.append(AudioDelta(output.audio.data))
        if output.finish_reason == "stop":
            self.finished = True
            events.append(_finished(answer))
        return events


@dataclass(frozen=True, slots=True)
class WholeSong:
    """A song that came in one answer: its bytes, or none and `finished.url` tells where they are."""

    request_id: str
    data: bytes
    finished: Finished


def decode_whole(body: bytes) -> WholeSong:
    """The answer to a call that does not stream. Raises UpstreamError; `upstream_empty` if no sound is in it."""
    answer = None
    with suppress(UpstreamError):
        answer = _decode(body)
    if answer is None or answer.code or answer.output is None:
        raise find_error(200, body) or _unreadable()
    data = answer.output.audio.data if answer.output.audio else None
    finished = _finished(answer)
    if not data and not finished.url:
        raise UpstreamError(
            "upstream_empty", "The provider finished without any sound. Try again.", request_id=answer.request_id
        )
    return WholeSong(answer.request_id or "", data or b"", finished)


def _decode(data: bytes) -> _Answer:
    try:
        return _answers.decode(data)
    except (ValueError, RecursionError):
        # Not chained: the provider's bytes have no business in a log.
        raise _unreadable() from None


def _unreadable() -> UpstreamError:
    return UpstreamError("upstream_protocol", "The provider sent an answer that cannot be read. Try again.")


def _finished(answer: _Answer) -> Finished:
    output = answer.output or _Output()
    extra = output.extra_info or _ExtraInfo()
    usage = answer.usage or _Usage()
    return Finished(
        billed_seconds=_number(usage.duration),
        billed_characters=_whole(usage.characters),
        sample_rate=_whole(extra.sample_rate),
        channels=_whole(extra.channels),
        lyrics=extra.lyrics,
        url=(output.audio.url if output.audio else None) or None,
    )


def _number(value: _Number) -> float | None:
    try:
        number = float(value) if value is not None else None
    except (ValueError, OverflowError):
        return None
    return number if number is not None and 0 <= number <= _MOST else None


def _whole(value: _Number) -> int | None:
    number = _number(value)
    return int(number) if number else None


# -- the inverse: what the simulator says ----------------------------------------------------------------------------


def delta_payload(*, request_id: str, expires_at: int, data: bytes, output: Mapping[str, Any] = _NOTHING) -> bytes:
    """An interim event's JSON: a slice of the sound, and in `output` what the family says beside it."""
    audio = {"data": data, "expires_at": expires_at, "id": f"audio_{request_id}"}
    document = {"output": {"audio": audio, **output, "finish_reason": "null"}, "request_id": request_id}
    return msgspec.json.encode(document)


def stop_payload(*, request_id: str, expires_at: int, url: str, said: LastWord) -> bytes:
    """The last event's JSON: no audio, and everything that is known only now."""
    audio = {"data": "", "expires_at": expires_at, "id": f"audio_{request_id}", "url": url}
    output = {"audio": audio, **said.output, "finish_reason": "stop"}
    return msgspec.json.encode({"output": output, "usage": said.usage, "request_id": request_id})


# The answer to a call that does not stream is one document of the same shape as the last event of one that does.
whole_payload = stop_payload


def error_payload(*, code: str, message: str, request_id: str) -> bytes:
    """An error's JSON, the same as a body and as the data of an `error` event."""
    return msgspec.json.encode({"code": code, "message": message, "request_id": request_id})
