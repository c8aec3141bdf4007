"""The provider's limits: what is counted, what is refused and in which words, and what is ignored with a warning.

The counting vectors are shared with the browser's counter, so they are the definition of counting, not a sample.
Invariant under test: each band holds at both of its ends, and every refusal names the field that is wrong.
"""

import json
from pathlib import Path
from typing import Any

import pytest

from gateway.errors import RequestError
from gateway.model import Mode, SongInput, SongRequest
from gateway.protocol.limits import PREVIEW, V1, applied, check, count

VECTORS = json.loads((Path(__file__).parents[3] / "vectors" / "counting.json").read_text("utf-8"))
WORDS_220 = " ".join(["river"] * 220)
HAN_320 = "月" * 320


def song(model: str = V1, mode: Mode = Mode.STREAM, **fields: Any) -> SongRequest:
    return SongRequest(model, mode, SongInput(**fields))


def refusal(request: SongRequest) -> RequestError:
    with pytest.raises(RequestError) as caught:
        check(request)
    return caught.value


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: ascii(vector["text"])[:40])
def test_counting_follows_the_vectors(vector: dict[str, object]) -> None:
    """Language and count are those of the vectors that the browser's counter is held to."""
    assert count(str(vector["text"])) == (vector["language"], vector["count"])


@pytest.mark.parametrize(
    ("mode", "name", "text", "fits"),
    [
        (Mode.STREAM, "prompt", "月" * 4, False),
        (Mode.STREAM, "prompt", "月" * 5, True),
        (Mode.STREAM, "prompt", "月" * 1000, True),
        (Mode.STREAM, "prompt", "月" * 1001, False),
        (Mode.STREAM, "prompt", "a b c d", False),
        (Mode.STREAM, "prompt", "a b c d e", True),
        (Mode.STREAM, "prompt", "a " * 1000, True),
        (Mode.STREAM, "prompt", "a " * 1001, False),
        (Mode.STREAM, "lyrics", "月" * 299, False),
        (Mode.STREAM, "lyrics", "月" * 300, True),
        (Mode.STREAM, "lyrics", "[verse]\n" + "月，" * 350, True),
        (Mode.STREAM, "lyrics", "月" * 351, False),
        (Mode.STREAM, "lyrics", "a " * 199, False),
        (Mode.STREAM, "lyrics", "a " * 200, True),
        (Mode.STREAM, "lyrics", "[verse] " + "a " * 250, True),
        (Mode.STREAM, "lyrics", "a " * 251, False),
        (Mode.FILE, "prompt", "a", True),
        (Mode.FILE, "prompt", "a" * 2000, True),
        (Mode.FILE, "prompt", "a" * 2001, False),
        (Mode.FILE, "prompt", "月" * 2000, True),
        (Mode.FILE, "prompt", "月" * 2001, False),
        (Mode.FILE, "lyrics", "月" * 4, False),
        (Mode.FILE, "lyrics", "月" * 5, True),
        (Mode.FILE, "lyrics", "月" * 350, True),
        (Mode.FILE, "lyrics", "月" * 351, False),
        (Mode.FILE, "lyrics", "[verse]\nabcd", False),
        (Mode.FILE, "lyrics", "[verse]\nabcde", True),
        (Mode.FILE, "lyrics", "[verse]\n" + "a" * 2000, True),
        (Mode.FILE, "lyrics", "a" * 2001, False),
    ],
)
def test_each_band_holds_at_both_ends(mode: Mode, name: str, text: str, fits: bool) -> None:
    """The last length that fits passes, the next one is refused by the field's name."""
    request = song(mode=mode, **{name: text})
    if fits:
        assert check(request) == []
    else:
        error = refusal(request)
        assert (error.code, error.param) == ("invalid_input", f"input.{name}")


def test_a_refusal_tells_what_was_found_what_is_allowed_and_what_to_do() -> None:
    """Short lyrics are told their count, the band, how many are missing, and that mode file would take them."""
    assert refusal(song(lyrics="月" * 120)).message == (
        "The lyrics have 120 Chinese characters; mode stream takes 300 to 350 Chinese characters or 200 to 250 English "
        "words. Add at least 180, or use mode file, which takes 5 to 350 Chinese characters or 5 to 2000 English "
        "characters."
    )


def test_a_text_beyond_all_measure_is_not_counted() -> None:
    """A single huge word is one word, but no prompt."""
    error = refusal(song(prompt="a b c d " + "e" * 10_000))
    assert (error.code, error.param) == ("invalid_input", "input.prompt")
    assert "Take out at least 8." in error.message


def test_mode_file_is_suggested_only_where_it_would_help() -> None:
    """Lyrics that are too long for both modes are not sent from one to the other."""
    message = refusal(song(lyrics="月" * 400)).message
    assert "Take out at least 50" in message
    assert "mode file" not in message


def test_a_prompt_s_refusal_speaks_of_one_prompt() -> None:
    """The sentence about a prompt names the one band that both languages share."""
    assert refusal(song(mode=Mode.FILE, prompt="a" * 2001)).message == (
        "The prompt has 2001 characters; mode file takes 1 to 2000 characters. Take out at least 1."
    )
    assert "5 to 1000 Chinese characters or English words" in refusal(song(prompt="rain")).message


@pytest.mark.parametrize(
    ("request_", "param"),
    [
        (song(model="suno", prompt="slow rain on a roof"), "model"),
        (song(prompt="slow rain on a roof", gender="child"), "input.gender"),
        (song(prompt="slow rain on a roof", format="flac"), "input.format"),
        (song(model=PREVIEW, prompt="slow rain on a roof", gender="male"), "input.gender"),
        (song(), "input.prompt"),
        (song(prompt=" \n", lyrics=""), "input.prompt"),
        (song(model=PREVIEW, lyrics=HAN_320), "input.prompt"),
        (song(is_instrumental=True, lyrics=HAN_320), "input.prompt"),
    ],
)
def test_what_cannot_be_is_refused_by_name(request_: SongRequest, param: str) -> None:
    """Unknown values, a voice for the preview model and missing texts name the field that is wrong."""
    error = refusal(request_)
    assert (error.code, error.param) == ("invalid_input", param)
    assert error.message.endswith(".")


@pytest.mark.parametrize(
    ("text", "fits"),
    [
        ("君の名は希望という歌をうたう", False),
        ("Песня о тихой реке и звёздах", False),
        ("비 오는 날의 느린 피아노", False),
        ("a slow song called Катюша sung softly by a large choir", True),
        ("明るい月光照耀着大海和山川河流", True),
        ("une chanson très lente à Paris", True),
        ("1 2 3 4 5", True),
    ],
)
def test_only_chinese_and_english_are_sung(text: str, fits: bool) -> None:
    """A text in another script is refused; a few foreign letters, accents and digits are not a language."""
    request = song(prompt=text)
    if fits:
        assert check(request) == []
    else:
        error = refusal(request)
        assert (error.code, error.param) == ("unsupported_language", "input.prompt")


def test_given_both_lyrics_count_and_a_warning_says_so() -> None:
    """For v1 the prompt beside lyrics is not checked, is not applied, and is warned about."""
    request = song(prompt="hm", lyrics=WORDS_220, gender="male")
    assert check(request) == ["The prompt is ignored: when both are given, the lyrics count."]
    assert applied(request) == SongInput(lyrics=WORDS_220, gender="male")


def test_preview_takes_both_and_checks_both() -> None:
    """The preview model is sent prompt and lyrics, without a warning, and either may be refused."""
    prompt = "slow rain on a roof"
    request = song(model=PREVIEW, prompt=prompt, lyrics=HAN_320)
    assert check(request) == []
    assert applied(request) == SongInput(prompt=prompt, lyrics=HAN_320)
    assert refusal(song(model=PREVIEW, prompt=prompt, lyrics="too short")).param == "input.lyrics"
    assert refusal(song(model=PREVIEW, prompt="hm", lyrics=HAN_320)).param == "input.prompt"


def test_an_instrumental_ignores_words_and_voice_with_warnings() -> None:
    """Lyrics of any length and the gender are dropped from an instrumental, each with its warning."""
    request = song(prompt="slow rain on a roof", lyrics="la", gender="female", is_instrumental=True)
    assert check(request) == [
        "The lyrics are ignored: the song is instrumental.",
        "The gender is ignored: the song is instrumental.",
    ]
    assert applied(request) == SongInput(prompt="slow rain on a roof", is_instrumental=True)
    assert check(song(prompt="slow rain on a roof", lyrics=" ", is_instrumental=True)) == []


def test_texts_are_applied_without_the_space_around_them() -> None:
    """What is counted is what is sent: surrounding white space is neither."""
    assert applied(song(prompt="  slow rain \n")).prompt == "slow rain"
    assert applied(song(model=PREVIEW, prompt="slow rain", gender="male")).gender is None
