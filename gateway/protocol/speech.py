"""What the families of speech share: a text and a voice, how characters are counted, and the check of their fields.

Invariant: characters are counted as they are billed, a Chinese, Japanese or Korean ideograph as two and anything else
as one; what a field may be is a row of a table. It must not know which family takes which field.
"""

import re
from dataclasses import fields as fields_of
from typing import Any, NamedTuple

import msgspec

from gateway.errors import RequestError
from gateway.model import Mode, SpeechInput, SpeechRequest
from gateway.protocol.limits import HAN

# Names of the provider's voices, and of voices that were made with it.
_VOICE = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _.\-]{0,127}")
_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z]{2,4})?")
_han = re.compile(f"[{HAN}]")
_said = re.compile(r"[^\W_]")
_MAX_INSTRUCTION = 1600


class Range(NamedTuple):
    """What a number may be, both ends included."""

    low: float
    high: float


RANGES = {"volume": Range(0, 100), "rate": Range(0.5, 2), "pitch": Range(0.5, 2), "seed": Range(0, 65535)}
SAMPLE_RATES = (8000, 16000, 22050, 24000, 44100, 48000)


class _Input(msgspec.Struct, omit_defaults=True):
    text: str
    voice: str
    format: str | None = None
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


class _Call(msgspec.Struct):
    model: str
    input: _Input


_calls = msgspec.json.Decoder(_Call)


def billed_characters(text: str) -> int:
    """The characters that a text costs."""
    return len(text) + len(_han.findall(text))


def check(request: SpeechRequest, *, characters: int, formats: tuple[str, ...]) -> list[str]:
    """No warnings; raises RequestError `invalid_input` for a field that the provider would refuse."""
    given = request.input
    # Of nothing but marks the provider makes a file without sound, and bills them.
    if not _said.search(given.text):
        raise _wrong("text", "There is nothing to say. Give input.text.")
    if len(given.text) > characters:
        raise _wrong("text", f"The text has {len(given.text)} characters; {request.model} takes {characters} at most.")
    if not _VOICE.fullmatch(given.voice):
        raise _wrong("voice", "Give input.voice the name of one of the provider's voices.")
    if given.format not in formats:
        raise _wrong("format", f"{request.model} speaks {' or '.join(formats)}.")
    if given.sample_rate is not None and given.sample_rate not in SAMPLE_RATES:
        raise _wrong("sample_rate", f"The sample rate must be one of {', '.join(map(str, SAMPLE_RATES))}.")
    for name, allowed in RANGES.items():
        value = getattr(given, name)
        if value is not None and not allowed.low <= value <= allowed.high:
            raise _wrong(name, f"The {name} must be from {allowed.low:g} to {allowed.high:g}.")
    if given.instruction is not None and len(given.instruction) > _MAX_INSTRUCTION:
        raise _wrong("instruction", f"The instruction may have {_MAX_INSTRUCTION} characters at most.")
    if any(not _LANGUAGE.fullmatch(hint) for hint in given.language_hints):
        raise _wrong("language_hints", "The language hints must be codes such as zh or en.")
    return []


def call_body(request: SpeechRequest, names: frozenset[str]) -> bytes:
    """The JSON of the call, with those of its fields that have a value and are among `names`."""
    values = {name: getattr(request.input, name) for name in names}
    return msgspec.json.encode(_Call(request.model, _Input(**values)))


def parse(data: bytes, default_format: str) -> SpeechRequest:
    """What a call asks for, as mode stream. Raises RequestError `invalid_request`; checks no limits."""
    try:
        call = _calls.decode(data)
    except (ValueError, RecursionError):
        raise RequestError("invalid_request", "The body must be a JSON object with model, text and voice.") from None
    values: dict[str, Any] = {field.name: getattr(call.input, field.name) for field in fields_of(SpeechInput)}
    values["format"] = values["format"] or default_format
    return SpeechRequest(call.model, Mode.STREAM, SpeechInput(**values))


def _wrong(name: str, sentence: str) -> RequestError:
    return RequestError("invalid_input", sentence, param=f"input.{name}")
