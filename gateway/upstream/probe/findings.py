"""What one bought song teaches, as numbers: the document that is saved, and that the text and the answers are made of.

Invariant: neither key nor prompt nor a url's query is in it; None is what was not learned. Times are seconds since the
call, sizes bytes, speeds seconds of sound a second. It must not know sockets or terminals.
"""

import re
from dataclasses import dataclass
from typing import Any, Literal

from gateway import __version__
from gateway.protocol.limits import PREVIEW, V1
from gateway.upstream.probe.delivery import Delivery, deliver
from gateway.upstream.probe.purchase import Answer, Marks, Purchase
from gateway.upstream.probe.sound import Comparison, Sound, Wav, compare, examine
from gateway.upstream.probe.wire import provider_code

CNY_A_SECOND = {V1: 0.002, PREVIEW: 0.005}

_PLACE = re.compile(r"(https?)://([\w.:-]+)(?:[/?#]|\Z)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Asked:
    """What was bought, and where."""

    host: str
    path: str
    model: str
    format: str
    prompt_characters: int


@dataclass(frozen=True, slots=True)
class Failure:
    """Our code and sentence for what went wrong, and the provider's own code and status if it sent an error.

    `details` are what the log would say beside it: which system error befell the connection.
    """

    code: str
    message: str
    details: list[str]
    provider_code: str | None
    provider_status: int | None


@dataclass(frozen=True, slots=True)
class Wire:
    """The events and what they are written with."""

    reads: int
    bytes: int
    first_byte: float | None
    first_event: float | None
    line_ends: dict[str, int]
    fields: dict[str, int]
    events: dict[str, int]
    statuses: dict[str, int]
    several_data_lines: int
    comments: int
    types: dict[str, list[str]]


@dataclass(frozen=True, slots=True)
class Coding:
    """What the bytes are; see `Sound`."""

    codec: str | None
    sample_rate: int
    channels: int
    seconds: float
    bytes: int
    bitrate: int | None
    bitrates: dict[int, int]
    id3_bytes: int
    index: str | None
    encoder: str | None
    bytes_between: int
    bytes_after: int
    wav: Wav | None


@dataclass(frozen=True, slots=True)
class Said:
    """What the provider said about the song. Texts are left out, only their lengths are told."""

    finish_reasons: dict[str, int]
    extra_info: dict[str, Any] | None
    usage: dict[str, Any] | None
    billed_seconds: float | None
    cost_cny: float | None


@dataclass(frozen=True, slots=True)
class Result:
    """The file behind the result url, against the joined slices."""

    scheme: str
    host: str
    expires_at: int | None
    seconds_to_fetch: float | None
    bytes: int | None
    failure: str | None
    comparison: Comparison | None


@dataclass(frozen=True, slots=True)
class Findings:
    """Everything."""

    wavegate: str
    asked: Asked
    outcome: Literal["finished", "failed", "interrupted"]
    failure: Failure | None
    request_id: str | None
    alpn: str | None
    answer: Answer | None
    marks: Marks
    wire: Wire
    delivery: Delivery | None
    coding: Coding | None
    said: Said
    result: Result | None


def find(purchase: Purchase) -> Findings:
    """Looks at what came. It takes a second or two: not for the loop."""
    log, song = purchase.log, purchase.song
    audio = b"".join(piece.data for piece in log.slices)
    sound = examine(audio)
    billed = purchase.finished.billed_seconds if purchase.finished else None
    price = CNY_A_SECOND.get(song.model)
    stopped = purchase.interrupted and purchase.finished is None
    return Findings(
        wavegate=__version__,
        asked=Asked(
            host=purchase.url.host_port_subcomponent or "",
            path=purchase.url.path,
            model=song.model,
            format=song.input.format,
            prompt_characters=len(song.input.prompt or ""),
        ),
        outcome="interrupted" if stopped else "failed" if purchase.failure else "finished",
        failure=_failure(purchase),
        request_id=purchase.request_id,
        alpn=purchase.alpn,
        answer=purchase.answer,
        marks=purchase.marks,
        wire=_wire(purchase),
        delivery=deliver(log, purchase.marks, sound) if audio else None,
        coding=_coding(audio, sound) if audio else None,
        said=Said(
            finish_reasons=dict(log.finish_reasons),
            extra_info=log.extra_info,
            usage=log.usage,
            billed_seconds=billed,
            cost_cny=None if billed is None or price is None else round(billed * price, 4),
        ),
        result=_result(purchase, audio, sound),
    )


def _failure(purchase: Purchase) -> Failure | None:
    error, log = purchase.failure, purchase.log
    if error is None:
        return None
    details = list(getattr(error, "__notes__", []))
    code, status = log.code, log.status
    if not log.failed and purchase.answer is not None:
        # No event told of it: then the body of another answer may have, or there was none and it broke off.
        code = None if log.slices else provider_code(log.beginning)
        status = purchase.answer.status if purchase.answer.status != 200 else None
    return Failure(error.code, error.message, details, code, status)


def _wire(purchase: Purchase) -> Wire:
    log = purchase.log
    return Wire(
        reads=len(log.reads),
        bytes=sum(size for _, size in log.reads),
        first_byte=log.reads[0][0] if log.reads else None,
        first_event=log.first_event,
        line_ends={end: count for end, count in log.lines.ends.items() if count},
        fields=dict(log.lines.fields),
        events=dict(log.events),
        statuses=dict(log.statuses),
        several_data_lines=log.multiline,
        comments=len(log.lines.comments),
        types={path: sorted(types) for path, types in sorted(log.types.items())},
    )


def _coding(audio: bytes, sound: Sound) -> Coding:
    return Coding(
        codec=sound.codec,
        sample_rate=sound.sample_rate,
        channels=sound.channels,
        seconds=round(sound.seconds, 3),
        bytes=len(audio),
        bitrate=sound.bitrate,
        bitrates=sound.bitrates,
        id3_bytes=sound.tag,
        index=sound.index,
        encoder=sound.encoder,
        bytes_between=sound.between,
        bytes_after=sound.after,
        wav=sound.wav,
    )


def _result(purchase: Purchase, audio: bytes, sound: Sound) -> Result | None:
    if purchase.finished is None or purchase.finished.url is None:
        return None
    # No more of the url than this: what is behind it opens the file for whoever has it.
    place = _PLACE.match(purchase.finished.url)
    marks, file = purchase.marks, purchase.file
    took = None if marks.fetched is None or marks.ended is None else marks.fetched - marks.ended
    return Result(
        scheme=place[1] if place else "",
        host=place[2] if place else "",
        expires_at=purchase.log.expires_at,
        seconds_to_fetch=took,
        bytes=None if file is None else len(file),
        failure=purchase.file_failure,
        comparison=None if file is None else compare(audio, sound, file),
    )
