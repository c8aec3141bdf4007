"""What a client of `wavegate.v1` may say, typed: one struct and one decoder a message, and the body of a REST create.

Invariant: unknown fields are ignored; an unknown type or a wrong value is refused with the path of the mistake and
without the value. What the gateway says stands in events.py. No I/O here.
"""

import re
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from gateway.errors import RequestError


class FormatSpec(Struct, frozen=True):
    """A format with wishes: `sample_rate` in Hz, `bitrate` in bit/s, `loudness` in LUFS; the rest is as it is."""

    codec: str
    sample_rate: int | None = None
    channels: int | None = None
    bitrate: int | None = None
    loudness: float | None = None


FormatChoice = str | FormatSpec | list[str | FormatSpec]


class Since(Struct, frozen=True):
    """Where to begin: `{"seconds_ago": n}` or `{"epoch": e, "seq": n}`; the words "start" and "live" are strings."""

    seconds_ago: float | None = None
    epoch: int | None = None
    seq: int | None = None


class InputSpec(Struct, frozen=True):
    """`input` of a create request, in the provider's fields: those of songs, then those of speech."""

    prompt: str | None = None
    lyrics: str | None = None
    gender: str | None = None
    is_instrumental: bool = False
    format: str | None = None
    enable_aigc_watermark: bool = False
    text: str | None = None
    voice: str | None = None
    sample_rate: int | None = None
    volume: int | None = None
    rate: float | None = None
    pitch: float | None = None
    seed: int | None = None
    instruction: str | None = None
    instructions: str | None = None
    optimize_instructions: bool = False
    language_type: str | None = None
    language_hints: tuple[str, ...] = ()
    enable_ssml: bool = False


class CreateBody(Struct, frozen=True):
    """Body of POST /v1/streams."""

    input: InputSpec
    model: str | None = None
    mode: str = "stream"
    share: bool = False
    abandon: str | None = None


class TicketBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/tickets. Unknown fields are refused: a misspelt bound would be a ticket without it."""

    stream_id: str | None = None
    allow: tuple[str, ...] = ("listen",)
    ttl_seconds: int = 60
    uses: int = 1
    origin: str | None = None
    max_audio_seconds: int | None = None


class _Attachment(Struct, frozen=True, kw_only=True):
    ref: str | int | None = None
    format: FormatChoice | None = None
    framing: str = "framed"
    since: str | Since = "start"
    on_lag: str = "complete"
    burst_ms: int | None = None


class StreamCreate(_Attachment, frozen=True, tag="stream.create", kw_only=True):
    """Creates a stream and attaches to it; with `idempotency_key`, to the one that this very order made before."""

    input: InputSpec
    model: str | None = None
    mode: str = "stream"
    share: bool = False
    abandon: str | None = None
    idempotency_key: str | None = None

    @property
    def body(self) -> CreateBody:
        """The same order as REST has it, and as it is known by its key."""
        return CreateBody(self.input, self.model, self.mode, self.share, self.abandon)


class StreamAttach(_Attachment, frozen=True, tag="stream.attach", kw_only=True):
    stream_id: str


class StreamDetach(Struct, frozen=True, tag="stream.detach", kw_only=True):
    stream_id: str
    ref: str | int | None = None


class StreamCancel(Struct, frozen=True, tag="stream.cancel", kw_only=True):
    stream_id: str
    ref: str | int | None = None


class Ping(Struct, frozen=True, tag="ping", kw_only=True):
    t: Any = None


class Authenticate(Struct, frozen=True, tag="session.authenticate", kw_only=True):
    key: str | None = None
    ticket: str | None = None
    ref: str | int | None = None

    def __repr__(self) -> str:
        return f"Authenticate(ref={self.ref!r})"  # what opens a door does not belong into a log


ClientMessage = StreamCreate | StreamAttach | StreamDetach | StreamCancel | Ping | Authenticate

_CLIENT: dict[str, msgspec.json.Decoder[Any]] = {
    str(kind.__struct_config__.tag): msgspec.json.Decoder(kind)
    for kind in (StreamCreate, StreamAttach, StreamDetach, StreamCancel, Ping, Authenticate)
}


class _Envelope(Struct, frozen=True):
    type: str
    ref: Any = None


_envelope = msgspec.json.Decoder(_Envelope)
_create_body = msgspec.json.Decoder(CreateBody)
_ticket_body = msgspec.json.Decoder(TicketBody)
_AT = re.compile(r" - at `\$\.?(.*?)`$")


def _mistake(error: msgspec.ValidationError, code: str = "invalid_request") -> RequestError:
    """msgspec's path becomes `param`; its sentence is about types and field names only, never about values."""
    text = str(error)
    found = _AT.search(text)
    param = found[1] if found and found[1] else None
    said = text[: found.start()] if found else text
    if said.startswith("Invalid value"):
        said = "Invalid value"
    where = f" in `{param}`" if param else ""
    return RequestError(code, f"{said}{where}.", param=param)


def _invalid_json(error: Exception) -> RequestError:
    return RequestError("invalid_json", f"This is not a JSON document: {error}.")


_Body = TypeVar("_Body")


class MessageError(Exception):
    """A client message that cannot be taken; `ref` is the client's own, if it could be read."""

    def __init__(self, error: RequestError, ref: Any = None) -> None:
        super().__init__(error.message)
        self.error = error
        self.ref = ref if isinstance(ref, str | int) else None


def decode_client(data: bytes | str) -> ClientMessage:
    """A client's control message. Raises MessageError."""
    try:
        envelope = _envelope.decode(data)
    except msgspec.ValidationError as error:
        raise MessageError(_mistake(error)) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MessageError(_invalid_json(error)) from None
    decoder = _CLIENT.get(envelope.type)
    if decoder is None:
        known = ", ".join(_CLIENT)
        refusal = RequestError("unknown_type", f"Unknown message type; known here: {known}.", param="type")
        raise MessageError(refusal, envelope.ref)
    try:
        message: ClientMessage = decoder.decode(data)
    except msgspec.ValidationError as mistake:
        raise MessageError(_mistake(mistake), envelope.ref) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise MessageError(_invalid_json(error), envelope.ref) from None
    return message


def decode_create(body: bytes) -> CreateBody:
    """The body of POST /v1/streams. Raises RequestError."""
    return _decode(_create_body, body)


def decode_ticket(body: bytes) -> TicketBody:
    """The body of POST /v1/tickets; none at all is the defaults. Raises RequestError."""
    return _decode(_ticket_body, body or b"{}")


def _decode(decoder: msgspec.json.Decoder[_Body], body: bytes) -> _Body:
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _mistake(error) from None
    except (msgspec.DecodeError, UnicodeError, RecursionError) as error:
        raise _invalid_json(error) from None
