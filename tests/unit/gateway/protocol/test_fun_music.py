"""Fun-Music's call in both directions, and its last word, held to what the provider documents.

Invariant under test: only documented fields go out, and what goes out is read back as it was meant.
It must not know HTTP or the limits, which have tests of their own.
"""

import json

import pytest

from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol import fun_music
from gateway.protocol.family import LastWord, Made


@pytest.mark.parametrize(
    ("model", "given_", "sent"),
    [
        ("fun-music-v1", SongInput(prompt=" rain "), {"prompt": "rain"}),
        ("fun-music-v1", SongInput(prompt="rain", lyrics="la", gender="male"), {"lyrics": "la", "gender": "male"}),
        ("fun-music-preview", SongInput(prompt="rain", lyrics="la"), {"prompt": "rain", "lyrics": "la"}),
        (
            "fun-music-v1",
            SongInput(prompt="rain", lyrics="la", gender="male", is_instrumental=True, format="wav"),
            {"prompt": "rain", "is_instrumental": True, "format": "wav"},
        ),
        (
            "fun-music-v1",
            SongInput(prompt="雨", enable_aigc_watermark=True),
            {"prompt": "雨", "enable_aigc_watermark": True},
        ),
    ],
)
def test_a_call_has_the_fields_that_count_and_every_switch(
    model: str, given_: SongInput, sent: dict[str, object]
) -> None:
    """Texts and voice are there when they count; format and the two switches are always said."""
    switches = {"is_instrumental": False, "format": "mp3", "enable_aigc_watermark": False}
    body = json.loads(fun_music.body(SongRequest(model, Mode.STREAM, given_)))
    assert body == {"model": model, "input": switches | sent}


def test_a_call_is_understood_as_it_was_meant() -> None:
    """The simulator reads from a call the song that the gateway wrote into it."""
    song = SongRequest("fun-music-v1", Mode.STREAM, SongInput(lyrics="la", gender="female", format="wav"))
    assert fun_music.parse(fun_music.body(song)) == song


def test_a_call_may_leave_out_or_null_what_has_a_default() -> None:
    """Only model and input are needed, nulls are absent, and unknown fields are ignored as the provider does."""
    body = b'{"model":"m","input":{"prompt":null,"seed":1},"parameters":{}}'
    assert fun_music.parse(body) == SongRequest("m", Mode.STREAM, SongInput())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b'{"model":"m"}',
        b'{"input":{}}',
        b'{"model":1,"input":{}}',
        b'{"model":"m","input":{"prompt":1}}',
        b"[" * 100_000,
        b'"\xff"',
    ],
)
def test_a_call_that_is_none_is_refused(body: bytes) -> None:
    """What is not the documented object is `invalid_request`, however deep or broken it is."""
    with pytest.raises(RequestError) as caught:
        fun_music.parse(body)
    assert caught.value.code == "invalid_request"


@pytest.mark.parametrize(("mode", "rate"), [(Mode.STREAM, "48000"), (Mode.FILE, 48000)])
def test_the_last_word_has_the_form_the_words_and_the_seconds(mode: Mode, rate: str | int) -> None:
    """As documented: the sample rate is a string in the stream's last event, and a number in the other answer."""
    said = fun_music.last_word(SongRequest("fun-music-v1", mode, SongInput(prompt="x")), Made(200, 48000, 2, "la"))
    extra = {"channels": 2, "sample_rate": rate, "lyrics": "la"}
    assert said == LastWord({"extra_info": extra}, {"duration": 200})
