"""OpenAI's dialect, as far as speech is spoken in it: the order, the events of a streamed answer, the list of models.

Invariant: a field that is not known is refused by its name, never ignored; an event depends on its chunk alone, so it
is built once for all who hear it. Source: OpenAI's API reference for audio/speech and models, and its Python SDK 3.57.
It must not know which of our models takes which field, nor sockets.
"""

import base64
import re

import msgspec
from msgspec import UNSET, Struct, UnsetType

from gateway.errors import RequestError, WavegateError
from gateway.model import Chunk
from gateway.protocol.events import ErrorBody, Usage, encode

# OpenAI's own voices. No model here has a voice of such a name, so it means nothing unless somebody gives it a meaning.
VOICES = frozenset(
    ("alloy", "ash", "ballad", "coral", "echo", "fable", "onyx", "nova", "sage", "shimmer", "verse", "marin", "cedar")
)
LAST_CHUNK = b"0\r\n\r\n"


class VoiceId(Struct, frozen=True, forbid_unknown_fields=True):
    """A voice as newer clients may write it."""

    id: str


class SpeechBody(Struct, frozen=True, forbid_unknown_fields=True):
    """Body of POST /v1/audio/speech. `input_type` is ours: what the input of a song is, `prompt` or `lyrics`."""

    input: str
    model: str | None = None
    voice: str | VoiceId | None = None
    instructions: str | None = None
    response_format: str = "mp3"
    speed: float = 1.0
    stream_format: str = "audio"
    input_type: str | None = None

    @property
    def voice_name(self) -> str | None:
        """The voice, whichever way it was written; an empty name is none."""
        return (self.voice.id if isinstance(self.voice, VoiceId) else self.voice) or None


_body = msgspec.json.Decoder(SpeechBody)
_AT = re.compile(r" - at `\$\.(.*?)`$")
_FIELD = re.compile(r"field `([^`]{1,64})`")


def decode_speech(body: bytes) -> SpeechBody:
    """The body of an order. Raises RequestError, naming the field that is wrong, unknown or missing."""
    try:
        return _body.decode(body)
    except msgspec.ValidationError as mistake:
        # msgspec's sentence is about types and names of fields, never about values.
        said = str(mistake)
        at, named = _AT.search(said), _FIELD.search(said)
        parts = [found[1] for found in (at, named) if found]
        sentence = said[: at.start()] if at else said
        raise RequestError("invalid_request", f"{sentence}.", param=".".join(parts) or None) from None
    except (msgspec.DecodeError, UnicodeError) as error:
        raise RequestError("invalid_json", f"This is not a JSON document: {error}.") from None


# -- the events of an answer with stream_format sse --------------------------------------------------------------------


class _Delta(Struct, tag="speech.audio.delta"):
    audio: str


class _Done(Struct, tag="speech.audio.done"):
    usage: Usage


class _Failed(Struct, tag="error"):
    error: ErrorBody


def _event(message: Struct) -> bytes:
    return b"data: %b\n\n" % encode(message)


def transfer_chunk(data: bytes) -> bytes:
    """One chunk of HTTP/1.1 chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def done(usage: Usage) -> bytes:
    """The event behind the last sound. OpenAI counts tokens there; what is billed here are seconds or characters."""
    return _event(_Done(usage))


def failed(error: WavegateError) -> bytes:
    """The event in place of the rest of the sound: the SDK's own streams raise an APIError for it."""
    return _event(_Failed(ErrorBody.of(error)))


def delta(chunk: Chunk) -> bytes:
    """A wire form of a chunk: the event `speech.audio.delta`, its payload in base64."""
    return _event(_Delta(base64.b64encode(chunk.payload).decode()))


def delta_chunked(chunk: Chunk) -> bytes:
    """The same as one chunk of HTTP/1.1 chunked transfer coding."""
    return transfer_chunk(delta(chunk))


# -- the list of models ------------------------------------------------------------------------------------------------


class Model(Struct):
    """A model that can be bought, or a name for one: then `alias_of` is which. `created` is in Unix seconds."""

    id: str
    created: int
    owned_by: str
    object: str = "model"
    alias_of: str | UnsetType = UNSET


class ModelList(Struct):
    """All of them."""

    data: list[Model]
    object: str = "list"
