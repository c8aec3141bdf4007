"""What shapes a song's bytes.

Invariant tested: what changes the sound changes the key, and nothing else does.
It must not know sound.
"""

from dataclasses import replace

from gateway.model import Mode, SongInput, SongRequest
from gateway.upstream.simulator.recipe import BITRATE, SCALE_SECONDS, recipe
from gateway.upstream.simulator.scenario import Scenario

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
