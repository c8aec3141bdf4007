"""What the gateway says on `wavegate.v1`, typed: one struct a message; StreamInfo is also what REST answers.

Invariant: a field that a client may rely on is always present; what is not known yet is null. Times are Unix seconds,
durations seconds, sizes bytes. No I/O here; what clients say stands in messages.py.
"""

from typing import Any

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.errors import WavegateError


class Usage(Struct):
    """`audio_seconds` received so far or billed at the end; `settled` once the bill is final.

    `characters` is what the provider billed where its model counts text.
    """

    audio_seconds: float
    settled: bool
    characters: int | UnsetType = UNSET


class Urls(Struct):
    """Where to hear it; None where this gateway has no such door."""

    audio: str
    hls: str | None
    ws: str


class ErrorBody(Struct):
    """The error object of every answer."""

    code: str
    message: str
    retryable: bool
    retry_after_ms: int | None = None
    param: str | None = None

    @classmethod
    def of(cls, error: WavegateError) -> "ErrorBody":
        return cls(**error.body())


class StreamInfo(Struct):
    """A stream as its tenant sees it. Times are Unix seconds; what only the provider's end tells is None until then."""

    id: str
    status: str
    model: str
    mode: str
    created_at: float
    duration_seconds: float
    sample_rate: int | None
    channels: int | None
    lyrics: str | None
    title: str | None
    listeners: int
    usage: Usage
    urls: Urls
    error: ErrorBody | None
    warnings: list[str]
    simulated: bool | None


class UsageTotals(Struct):
    """Sums over a tenant's generations: seconds, bytes, and money in the currency of the configured prices."""

    reserved: float
    settled: float
    refunded: float
    listener_seconds: float
    egress_bytes: int
    cost: float
    generations: int


class UsageGeneration(Struct):
    """A generation in the ledger. `audio_seconds` is what it has cost, and what was received while it runs."""

    stream_id: str
    status: str
    model: str
    audio_seconds: float
    cost: float
    provider_request_id: str | None
    created_at: float
    finished_at: float | None
    reserved: float
    settled: float
    refunded: float
    characters: int | None
    listener_seconds: float
    egress_bytes: int
    key_id: str


class UsageReport(Struct, rename={"since": "from", "until": "to"}):
    """A tenant's ledger from `from` up to but not including `to`; `next` is what to ask for the next page with."""

    tenant: str
    since: float
    until: float
    totals: UsageTotals
    generations: list[UsageGeneration]
    next: str | None


class FormatInfo(Struct):
    """What a rendition really is; `mime` is the exact string MediaSource takes."""

    codec: str
    mime: str
    sample_rate: int
    channels: int
    bitrate: int | None


class SessionCreated(Struct, tag="session.created"):
    session_id: str
    tenant: str
    limits: dict[str, Any]
    server_time: float


class StreamCreated(Struct, tag="stream.created", omit_defaults=True):
    stream: StreamInfo
    ref: str | int | None = None


class StreamQueued(Struct, tag="stream.queued"):
    """The generation waits for the provider: `position` counts from 1, `eta_ms` is an estimate, null without one."""

    stream_id: str
    position: int
    eta_ms: int | None


class StreamStarted(Struct, tag="stream.started", omit_defaults=True):
    """The audio that follows and where it begins. `recovered` answers a `since` with epoch and seq."""

    stream_id: str
    rendition: int
    epoch: int
    seq: int
    format: FormatInfo
    recovered: bool | UnsetType = UNSET
    ref: str | int | None = None


class AudioDelta(Struct, tag="audio.delta"):
    """A chunk in `json` framing: the fields of the binary header, and the payload in base64."""

    stream_id: str
    rendition: int
    kind: str
    epoch: int
    seq: int
    pts: int
    duration: int
    flags: int
    data: str


class StreamMetadata(Struct, tag="stream.metadata"):
    """News beside the sound; `pts` in seconds of the song it belongs to.

    `silent`: still (nothing new has come for long), silence (what comes is digital silence), None once it sounds again.
    """

    stream_id: str
    pts: float
    listeners: int | UnsetType = UNSET
    lyrics: str | UnsetType = UNSET
    title: str | UnsetType = UNSET
    generated_seconds: float | UnsetType = UNSET
    silent: str | UnsetType | None = UNSET


class StreamGap(Struct, tag="stream.gap"):
    """Chunks `from_seq` up to but not including `to_seq` will not come; of none where sound is lost before `to_seq`.

    `reason`: retention (no longer kept), lag (a live listener jumped), corrupt (the provider sent no audio there).
    """

    stream_id: str
    from_seq: int
    to_seq: int
    reason: str


class StreamCompleted(Struct, tag="stream.completed"):
    """The whole song is out. `bytes` and `sha256` are of the joined payloads from the first seq on, init first."""

    stream_id: str
    duration_seconds: float
    frames: int
    bytes: int
    sha256: str
    usage: Usage


class StreamFailed(Struct, tag="stream.failed"):
    stream_id: str
    error: ErrorBody


class StreamDetached(Struct, tag="stream.detached", omit_defaults=True):
    stream_id: str
    ref: str | int | None = None


class QuotaBudget(Struct):
    """One limit, 0 for none, and how much of it is used, reservations included; it starts anew at `resets_at`."""

    limit: int
    used: float
    remaining: float | None
    resets_at: float | None


class QuotaUpdated(Struct, tag="quota.updated"):
    """What the tenant has left; `warnings` names the limits of which four fifths are used."""

    concurrent_streams: QuotaBudget
    audio_seconds_per_day: QuotaBudget
    audio_seconds_per_month: QuotaBudget
    egress_bytes_per_day: QuotaBudget
    warnings: list[str]


class Goaway(Struct, tag="session.goaway"):
    time_left_ms: int
    reconnect_after_ms: int


class Pong(Struct, tag="pong"):
    t: Any
    server_time: float


class Error(Struct, tag="error", omit_defaults=True):
    error: ErrorBody
    ref: str | int | None = None


_encoder = msgspec.json.Encoder()


def encode(message: Any) -> bytes:
    """Any of the structs above, or plain data, as JSON."""
    return _encoder.encode(message)
