"""Fun-Music's call: a prompt or lyrics in, a song out, billed by the second of audio.

Invariant: only documented fields are sent, each switch said explicitly; `parse` is the inverse of `body`, in the same
file so that the two cannot drift apart. What may be asked for stands in limits.py.
Source: the provider's Fun-Music API reference. It must not know HTTP or the answers' shape.
"""

import msgspec

from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol.family import LastWord, Made, ModelFamily
from gateway.protocol.limits import FORMATS, MODELS, applied, check

PATH = "/api/v1/services/audio/music/generation"
LEGACY_PATH = "/api/v1/services/audio/tts/SpeechSynthesizer"


class _Input(msgspec.Struct):
    prompt: str | msgspec.UnsetType | None = msgspec.UNSET
    lyrics: str | msgspec.UnsetType | None = msgspec.UNSET
    gender: str | msgspec.UnsetType | None = msgspec.UNSET
    is_instrumental: bool = False
    format: str = "mp3"
    enable_aigc_watermark: bool = False


class _Call(msgspec.Struct):
    model: str
    input: _Input


_calls = msgspec.json.Decoder(_Call)


def body(request: SongRequest) -> bytes:
    """The JSON of the call: the fields that count for this song."""
    fields = applied(request)
    call = _Call(
        request.model,
        _Input(
            prompt=fields.prompt or msgspec.UNSET,
            lyrics=fields.lyrics or msgspec.UNSET,
            gender=fields.gender or msgspec.UNSET,
            is_instrumental=fields.is_instrumental,
            format=fields.format,
            enable_aigc_watermark=fields.enable_aigc_watermark,
        ),
    )
    return msgspec.json.encode(call)


def parse(data: bytes) -> SongRequest:
    """The song that a call asks for, as mode stream. Raises RequestError `invalid_request`; checks no limits."""
    try:
        call = _calls.decode(data)
    except (ValueError, RecursionError):
        raise RequestError("invalid_request", "The body must be a JSON object with model and input.") from None
    fields = call.input
    return SongRequest(
        call.model,
        Mode.STREAM,
        SongInput(
            prompt=fields.prompt or None,
            lyrics=fields.lyrics or None,
            gender=fields.gender or None,
            is_instrumental=fields.is_instrumental,
            format=fields.format,
            enable_aigc_watermark=fields.enable_aigc_watermark,
        ),
    )


def last_word(request: SongRequest, made: Made) -> LastWord:
    """Form, words and billed seconds of a song, as its last event has them."""
    # The provider writes the rate as a string in the event and as a number in the other answer.
    rate = str(made.sample_rate) if request.mode is Mode.STREAM else made.sample_rate
    extra = {"channels": made.channels, "sample_rate": rate, "lyrics": made.lyrics}
    return LastWord({"extra_info": extra}, {"duration": made.duration})


FAMILY = ModelFamily(
    models=MODELS,
    path=PATH,
    formats=FORMATS,
    fields=frozenset(_Input.__struct_fields__),
    input=SongInput,
    request=SongRequest,
    check=check,
    body=body,
    parse=parse,
    last_word=last_word,
)
