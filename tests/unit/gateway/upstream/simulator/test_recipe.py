"""What shapes a song's bytes.

Invariant tested: what changes the sound changes the key, and nothing else does.
It must not know sound.
"""

from dataclasses import replace
from typing import Any

import pytest

from gateway.model import Mode, SongInput, SongRequest, SpeechInput, SpeechRequest
from gateway.upstream.simulator.prosody import Delivery
from gateway.upstream.simulator.recipe import (
    BITRATE,
    SCALE_SECONDS,
    SPEECH_BITRATE,
    Recipe,
    recipe,
    recipe_of,
    speech_recipe,
)
from gateway.upstream.simulator.scenario import Scenario
from transcode.mp3header import bitrates

REQUEST = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="a song about the sea"))


def with_input(**changes: object) -> SongRequest:
    return replace(REQUEST, input=replace(REQUEST.input, **changes))  # type: ignore[arg-type]  # the fields are named by each test


def test_everything_audible_changes_the_key() -> None:
    """Words, voice, format, mark and bitrate each give another song."""
    others = [
        recipe(with_input(prompt="a song about the seas"), None),
        recipe(with_input(gender="male"), None),
        recipe(with_input(is_instrumental=True), None),
        recipe(with_input(format="wav"), None),
        recipe(with_input(enable_aigc_watermark=True), None),
        recipe(with_input(lyrics="la la la la la"), None),
        recipe(REQUEST, Scenario("song", bitrate=128000)),
        recipe(REQUEST, Scenario("song", seconds=5)),
        recipe(REQUEST, Scenario("scale")),
        recipe(REQUEST, Scenario(id3=False)),
        recipe(REQUEST, Scenario(xing=True)),
        recipe(REQUEST, Scenario(vbr=True)),
        recipe(REQUEST, Scenario(fault="garbage")),
        recipe(REQUEST, Scenario(fault="garbage", after=1)),
        recipe(REQUEST, Scenario(fault="noise")),
        recipe(with_input(format="wav"), Scenario(wav="0")),
    ]
    assert len({one.key for one in [recipe(REQUEST, None), *others]}) == 17


def test_pacing_does_not() -> None:
    """The same song at another speed is the same song."""
    assert recipe(REQUEST, Scenario("song", speed=3, slice=9, wait=1)) == recipe(REQUEST, None)
    assert recipe(REQUEST, Scenario(fault="cut", after=3, size=9, lines="cr")) == recipe(REQUEST, None)


def test_options_of_the_other_format_do_not() -> None:
    """A WAV has no tag and no Info frame, an mp3 no other WAV header."""
    wav = with_input(format="wav")
    assert recipe(wav, Scenario(id3=False, xing=True, vbr=True, bitrate=64000)) == recipe(wav, None)
    assert recipe(REQUEST, Scenario(wav="short")) == recipe(REQUEST, None)


def test_how_many_bytes_a_second_has() -> None:
    """An mp3 has its bitrate, a WAV four bytes a sample."""
    assert recipe(REQUEST, None).bytes_per_second == 24000
    assert recipe(with_input(format="wav"), None).bytes_per_second == 192000


def test_the_scale_does_not_care_for_words() -> None:
    """Whatever the prompt, it is one scale."""
    assert recipe(REQUEST, Scenario("scale")) == recipe(
        with_input(prompt="other words", gender="male"), Scenario("scale")
    )
    assert recipe(REQUEST, Scenario("scale")).seconds == SCALE_SECONDS


def test_defaults() -> None:
    """A woman sings, at 192 kbit/s."""
    made = recipe(REQUEST, None)
    assert (made.gender, made.bitrate, made.text, made.lyrics) == ("female", BITRATE, "a song about the sea", "")


def test_lyrics_count_when_both_are_given() -> None:
    """The first model ignores the prompt beside lyrics; the preview takes both."""
    both = with_input(lyrics="la la la la la")
    assert recipe(both, None).text == recipe(both, None).lyrics == "la la la la la"
    preview = recipe(replace(both, model="fun-music-preview"), None)
    assert (preview.text, preview.lyrics) == ("a song about the sea", "la la la la la")


def test_the_preview_chooses_its_voice() -> None:
    """By the words, and not always the same."""
    voices = {recipe(replace(with_input(prompt=f"song {n}"), model="fun-music-preview"), None).gender for n in range(9)}
    assert voices == {"female", "male"}


def test_a_wav_file_differs_from_a_wav_stream() -> None:
    """Only a WAV's header knows whether it was streamed."""
    wav = with_input(format="wav")
    assert recipe(wav, None) != recipe(replace(wav, mode=Mode.FILE), None)
    assert recipe(REQUEST, None) == recipe(replace(REQUEST, mode=Mode.FILE), None)


def speech(**changes: Any) -> Recipe:
    usual: dict[str, Any] = {"text": "hello", "voice": "Cherry", "format": "mp3", "sample_rate": 22050}
    return speech_recipe(**usual | changes)


def test_speech_is_mono_at_its_rate() -> None:
    """With what was asked for in the delivery, and the usual bitrate; nobody sings."""
    made = speech(rate=1.5, pitch=0.8, volume=70)
    assert (made.tune, made.text, made.lyrics, made.gender) == ("speech", "hello", "", None)
    assert (made.sample_rate, made.channels, made.bitrate) == (22050, 1, SPEECH_BITRATE)
    assert made.delivery == Delivery("Cherry", 1.5, 0.8, 70)
    assert made.bytes_per_second == 8000
    assert speech(format="wav").bytes_per_second == 44100


def test_everything_audible_changes_the_key_of_speech() -> None:
    """Words, voice, rate, pitch, volume, format and sample rate each give another one."""
    changes: list[dict[str, Any]] = [
        {},
        {"text": "hallo"},
        {"voice": "Ethan"},
        {"rate": 1.1},
        {"pitch": 1.1},
        {"volume": 51},
        {"format": "wav"},
        {"sample_rate": 24000},
        {"scenario": Scenario(seconds=1)},
        {"scenario": Scenario("scale")},
    ]
    assert len({speech(**change).key for change in changes}) == len(changes)


@pytest.mark.parametrize("file_format", ["mp3", "wav"])
def test_a_scenario_does_to_speech_what_it_does_to_songs(file_format: str) -> None:
    """Every option of the bytes, and no other, is the same in both."""
    scenario = Scenario(
        fault="garbage", after=1, size=9, seconds=3, id3=False, xing=True, wav="short", bitrate=32000, speed=9
    )
    song, said = recipe(with_input(format=file_format), scenario), speech(format=file_format, scenario=scenario)
    for name in ("seconds", "garbage", "noise", "id3", "xing", "wav", "vbr", "streamed", "bitrate"):
        assert getattr(said, name) == getattr(song, name)
    assert speech(scenario=Scenario(fault="noise")).noise
    assert speech(scenario=Scenario(vbr=True)).vbr


def test_the_scale_does_not_care_who_speaks() -> None:
    """But for the format and the rate it is the same."""
    scale = speech(scenario=Scenario("scale"))
    assert scale == speech(text="other", voice="Ethan", rate=2, scenario=Scenario("scale"))
    assert (scale.tune, scale.seconds, scale.sample_rate, scale.channels) == ("scale", SCALE_SECONDS, 22050, 1)


@pytest.mark.parametrize("sample_rate", [8000, 16000, 22050, 24000, 44100, 48000])
@pytest.mark.parametrize(
    "scenario", [Scenario(), Scenario(vbr=True), Scenario(bitrate=320000), Scenario(bitrate=32000)]
)
def test_the_bitrate_is_one_that_mp3_has(sample_rate: int, scenario: Scenario) -> None:
    """The nearest to the one wanted."""
    made = speech(sample_rate=sample_rate, scenario=scenario)
    assert made.bitrate in bitrates(sample_rate)
    if scenario.bitrate == 320000:
        assert made.bitrate == bitrates(sample_rate)[-1]
    elif not scenario.vbr:
        assert made.bitrate == scenario.bitrate or made.bitrate == SPEECH_BITRATE


def test_spoken_wav_files_and_streams_differ() -> None:
    """As those of songs do."""
    assert speech(format="wav") != speech(format="wav", streamed=False)
    assert speech() == speech(streamed=False)


def test_any_request_has_its_recipe() -> None:
    """A song its own, speech one with what was asked for, or with what is usual."""
    song = SongRequest("fun-music-v1", Mode.STREAM, SongInput(prompt="a calm piano tune"))
    assert recipe_of(song, Scenario()) == recipe(song, Scenario())
    said = SpeechRequest("cosyvoice-v3-flash", Mode.FILE, SpeechInput("Hello", "longanyang", "wav"))
    assert recipe_of(said, Scenario()) == speech_recipe(
        text="Hello", voice="longanyang", format="wav", sample_rate=24000, streamed=False
    )
    fast = replace(said, input=replace(said.input, sample_rate=8000, rate=2.0, pitch=0.5, volume=0))
    assert recipe_of(fast, Scenario()) == speech_recipe(
        text="Hello", voice="longanyang", format="wav", sample_rate=8000, rate=2.0, pitch=0.5, volume=0, streamed=False
    )
