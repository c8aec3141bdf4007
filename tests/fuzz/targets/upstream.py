"""What the provider sends: events, answers of each family of models, refusals; and what the simulator is sent.

Invariant under test: an answer is our events or an UpstreamError, whatever the octets are and however they are cut; an
event is within its limit; a call that can be read is written the same again.
"""

import math
from collections.abc import Iterable
from functools import partial

from gateway.errors import RequestError, UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from gateway.protocol import dashscope, qwen_tts
from gateway.protocol.dashscope import GenerationDecoder, delta_payload, error_payload, stop_payload
from gateway.protocol.dashscope_errors import error_from_body, find_error
from gateway.protocol.families import FAMILIES
from gateway.protocol.family import LastWord
from gateway.protocol.sse import SseDecoder, SseEvent, encode_event
from tests.fuzz.target import Target, octets, slices, tried

# So small that inputs of the fuzzer's size go over it.
LIMIT = 512


def _events(pieces: Iterable[bytes]) -> tuple[list[SseEvent], str | None]:
    decoder, found = SseDecoder(LIMIT), list[SseEvent]()
    try:
        for piece in pieces:
            found += decoder.feed(piece)
            assert len(decoder._partial) <= LIMIT, "an unfinished line is bounded"
        found += decoder.flush()
    except UpstreamError as error:
        return found, error.code
    return found, None


def sse(data: bytes) -> None:
    """Any slicing gives the same events and the same error; what comes out can go in again."""
    found, error = _events([data])
    assert error in (None, "upstream_protocol")
    assert _events(slices(data)) == (found, error)
    assert _events(octets(data)) == (found, error)
    for event in found:
        assert len(event.data) <= LIMIT
        assert event.status is None or 100 <= event.status <= 999 or event.status < 100
        if not any(line.startswith(b" ") for line in event.data.split(b"\n")):
            again, _ = _events([encode_event(1, "result", 200, event.data)])
            assert [one.data for one in again] == [event.data] or len(event.data) > LIMIT - 64


def _generation(pieces: Iterable[bytes]) -> tuple[list[SourceEvent], str | None, str | None]:
    wire, decoder, found = SseDecoder(1 << 20), GenerationDecoder(), list[SourceEvent]()
    try:
        for piece in pieces:
            for event in wire.feed(piece):
                found += decoder.feed(event)
        for event in wire.flush():
            found += decoder.feed(event)
    except UpstreamError as error:
        return found, error.code, decoder.request_id
    return found, None, decoder.request_id


def _sane(finished: Finished) -> None:
    for number in (finished.billed_seconds, finished.billed_characters, finished.sample_rate, finished.channels):
        assert number is None or (number >= 0 and math.isfinite(number))
    assert finished.url is None or finished.url


def generation(data: bytes) -> None:
    """Accepted comes first and once, Finished last and once; no number that money is made of is negative or endless."""
    outcome = _generation([data])
    assert _generation(slices(data)) == outcome
    found = outcome[0]
    assert [at for at, event in enumerate(found) if isinstance(event, Accepted)] in ([], [0])
    assert [at for at, event in enumerate(found) if isinstance(event, Finished)] in ([], [len(found) - 1])
    for event in found:
        if isinstance(event, Finished):
            _sane(event)
        elif isinstance(event, AudioDelta):
            assert event.data


def answer(data: bytes) -> None:
    """A whole answer is a song that sounds or an UpstreamError with a sentence of ours; so is any refusal."""
    song = tried(partial(dashscope.decode_whole, data), UpstreamError)
    if isinstance(song, UpstreamError):
        assert song.code.startswith(("upstream_", "content_"))
    else:
        assert song.data or song.finished.url
        _sane(song.finished)
    find_error(200, data)
    assert error_from_body(500, data).message
    head = qwen_tts.prelude(data)
    assert head == b"" or head[:4] == b"RIFF"


def call(data: bytes) -> None:
    """A call of any family is a request or a RequestError; what is written of it is read and written the same."""
    for family in FAMILIES:
        try:
            request = family.parse(data)
            family.check(request)
        except RequestError:
            continue
        written = family.body(request)
        assert family.body(family.parse(written)) == written


_DELTA = encode_event(1, "result", 200, delta_payload(request_id="r-1", expires_at=9, data=b"\xff\xfb\x90\x64"))
# What each family says beside the sound.
_INTERIM = tuple(
    encode_event(1, "result", 200, delta_payload(request_id="r-1", expires_at=9, data=b"RIFF", output=family.interim))
    for family in FAMILIES
)
_SAID = LastWord(
    {"extra_info": {"channels": 2, "sample_rate": "44100", "lyrics": "啦"}}, {"duration": 3.5, "characters": 7}
)
_STOP_BODY = stop_payload(request_id="r-1", expires_at=9, url="http://a.aliyuncs.com/x.mp3", said=_SAID)
_STOP = encode_event(2, "result", 200, _STOP_BODY)
_ERROR_BODY = error_payload(code="Throttling.RateQuota", message="slow down", request_id="r-2")
_ERROR = encode_event(3, "error", 429, _ERROR_BODY)

_JSON = (
    *(b"{", b"}", b"[", b"]", b'"', b":", b",", b"null", b"true", b"1e999", b"-1", b'"\\ud800"', b"[" * 200),
    *(b'{"a":' * 200, b'"output":', b'"audio":{"data":"', b'"finish_reason":"stop"', b'"usage":{"duration":'),
    *(b'"extra_info":{', b'"sample_rate":', b'"characters":', b'"code":', b'"error":{', b'"request_id":'),
    *(b'"input":{', b'"model":"fun-music-v1"', b'"prompt":', b'"lyrics":', b'"voice":', b'"text":'),
)
_SSE = (
    *(b"data:", b"data: ", b"event:error\n", b"event:result\n", b"id:", b":HTTP_STATUS/", b"\n\n", b"\r\n", b"\r"),
    *(b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\0", b"x" * 300),
)

TARGETS = (
    Target("sse", sse.__doc__ or "", sse, (_DELTA, _DELTA + _STOP, _ERROR, b"\xef\xbb\xbfdata:1\r\rdata"), _SSE),
    Target(
        "generation", generation.__doc__ or "", generation, (*_INTERIM, _DELTA + _STOP, _DELTA + _ERROR), _SSE + _JSON
    ),
    Target(
        "answer",
        answer.__doc__ or "",
        answer,
        (_STOP_BODY, _ERROR_BODY, b'{"error":{"code":"x","message":"y"}}', _ERROR, b"<html>502</html>"),
        _JSON,
    ),
    Target(
        "call",
        call.__doc__ or "",
        call,
        (
            b'{"model":"fun-music-v1","input":{"prompt":"a song of rain","is_instrumental":true,"format":"mp3"}}',
            b'{"model":"cosyvoice-v2","input":{"text":"\xe4\xbd\xa0","voice":"longxiaochun","rate":1.5,"format":"wav"}}',
            b'{"model":"qwen3-tts-flash","input":{"text":"hello","voice":"Cherry","language_type":"English"}}',
        ),
        _JSON,
    ),
)
