"""A family of models: those that share a path, the fields of their call, a billing unit and what surrounds their sound.

Invariant: a family is pure, from requests to bytes and back; the events that come in are the envelope's (dashscope.py)
and the same for all. A new family is one file that makes one of these, and a row in families.py.
It must not know HTTP, keys, or who asks.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from gateway.model import SongInput, SongRequest, SpeechInput, SpeechRequest

Request = TypeVar("Request", SongRequest, SpeechRequest)


@dataclass(frozen=True, slots=True)
class Made:
    """What a whole piece of audio came to, for a last word: length in whole seconds, form, and the words in it."""

    duration: int
    sample_rate: int
    channels: int
    lyrics: str


@dataclass(frozen=True, slots=True)
class LastWord:
    """What stands in a last word beside the audio: in `output`, and as `usage`."""

    output: Mapping[str, Any]
    usage: Mapping[str, Any]


def _nothing(first: bytes) -> bytes:
    del first
    return b""


@dataclass(frozen=True, slots=True)
class ModelFamily(Generic[Request]):
    """`formats` are what can be asked for, the usual one first; `fields` are the names that count in `input`.

    `check` gives warnings and raises RequestError `invalid_input` or `unsupported_language`; `body` is the JSON of the
    call and `parse` its inverse, which checks no limits. `prelude` says what is missing before the first audio bytes.
    `interim` and `last_word` are what the provider says in `output` and `usage`, for whoever plays the provider.
    """

    models: tuple[str, ...]
    path: str
    formats: tuple[str, ...]
    fields: frozenset[str]
    input: type[SongInput] | type[SpeechInput]
    request: type[Request]
    check: Callable[[Request], list[str]]
    body: Callable[[Request], bytes]
    parse: Callable[[bytes], Request]
    last_word: Callable[[Request, Made], LastWord]
    prelude: Callable[[bytes], bytes] = _nothing
    interim: Mapping[str, Any] = field(default_factory=dict)
