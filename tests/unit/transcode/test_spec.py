"""Tests of what encoders are asked for: what no codec can do is refused with what it can, the rest is filled in.

Invariant under test: a wish that is let through is resolved for every song there may be.
It must not know encoders.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from transcode.errors import UnsupportedFormat
from transcode.formats import AAC, FLAC, FORMATS, MP3, OGG, PCM, WAV, Format, StreamFormat
from transcode.spec import EncoderSpec, Wish, check, resolve

SONG = StreamFormat(MP3, 48000, 2, 192_000)
ANY = Wish()


@pytest.mark.parametrize(
    ("form", "wish", "song", "spec"),
    [
        (OGG, ANY, SONG, EncoderSpec("opus", 48000, 2, 96_000)),
        (OGG, ANY, StreamFormat(MP3, 44100, 2, None), EncoderSpec("opus", 48000, 2, 96_000)),
        (OGG, ANY, StreamFormat(WAV, 96000, 1, None), EncoderSpec("opus", 48000, 1, 48_000)),
        (OGG, Wish(24000, 1, 20_000), SONG, EncoderSpec("opus", 24000, 1, 20_000)),
        (OGG, Wish(24000), SONG, EncoderSpec("opus", 24000, 2, 64_000)),
        (OGG, Wish(8000, 1), SONG, EncoderSpec("opus", 8000, 1, 32_000)),
        (OGG, Wish(8000, 1, 6000), SONG, EncoderSpec("opus", 8000, 1, 6000)),
        (AAC, Wish(8000), SONG, EncoderSpec("aac", 8000, 2, 40_000)),
        (AAC, Wish(8000, 1, 8000), SONG, EncoderSpec("aac", 8000, 1, 8000)),
        (AAC, Wish(16000, 1), SONG, EncoderSpec("aac", 16000, 1, 23_219)),
        (MP3, ANY, StreamFormat(WAV, 24000, 1, None), EncoderSpec("mp3", 24000, 1, 56_000)),
        (MP3, Wish(bitrate=320_000), StreamFormat(MP3, 8000, 1, None), EncoderSpec("mp3", 8000, 1, 64_000)),
        (AAC, ANY, SONG, EncoderSpec("aac", 48000, 2, 128_000)),
        (AAC, Wish(8000, bitrate=160_000), SONG, EncoderSpec("aac", 8000, 2, 96_000)),
        (PCM, Wish(11000, 1), SONG, EncoderSpec("pcm", 11000, 1, None)),
        (WAV, ANY, StreamFormat(WAV, 192_000, 2, None), EncoderSpec("pcm", 48000, 2, None)),
        (FLAC, Wish(loudness=-16.0), StreamFormat(MP3, 37800, 2, None), EncoderSpec("flac", 37800, 2, None, -16.0)),
    ],
)
def test_a_wish_is_filled_in_from_the_song(form: Format, wish: Wish, song: StreamFormat, spec: EncoderSpec) -> None:
    """With its own rate where the codec has it, else the next above; with the usual bitrate for that rate.

    What is usual has a floor, what was asked for has none.
    """
    assert resolve(form, wish, song) == spec


@pytest.mark.parametrize(
    ("form", "wish", "field", "word"),
    [
        (OGG, Wish(44100), "sample_rate", "48000"),
        (MP3, Wish(47999), "sample_rate", "44100"),
        (PCM, Wish(7999), "sample_rate", "8000 to 48000"),
        (FLAC, Wish(96000), "sample_rate", "8000 to 48000"),
        (PCM, Wish(channels=3), "channels", "1 or 2"),
        (PCM, Wish(channels=0), "channels", "1 or 2"),
        (WAV, Wish(bitrate=1), "bitrate", "no bitrate"),
        (OGG, Wish(bitrate=5999), "bitrate", "6000"),
        (OGG, Wish(channels=1, bitrate=256_001), "bitrate", "256000"),
        (MP3, Wish(bitrate=100_000), "bitrate", "96000"),
        (MP3, Wish(24000, bitrate=320_000), "bitrate", "at 24000 Hz"),
        (MP3, Wish(loudness=-41.0), "loudness", "-40"),
        (MP3, Wish(loudness=float("nan")), "loudness", "-40"),
    ],
)
def test_what_no_song_could_be_is_refused(form: Format, wish: Wish, field: str, word: str) -> None:
    """With what is possible, and the field that is wrong."""
    with pytest.raises(UnsupportedFormat) as refused:
        check(form, wish)
    assert refused.value.field == field
    assert word in str(refused.value)


@given(
    st.sampled_from(list(FORMATS.values())),
    st.builds(
        Wish,
        st.none() | st.integers(7000, 50_000) | st.sampled_from([8000, 16000, 24000, 44100, 48000]),
        st.none() | st.integers(0, 3),
        st.none() | st.integers(0, 600_000) | st.sampled_from([64_000, 128_000]),
        st.none() | st.floats(-50, 0),
    ),
    st.builds(StreamFormat, st.just(MP3), st.integers(8000, 192_000), st.sampled_from([1, 2]), st.none()),
)
def test_what_is_let_through_is_resolved(form: Format, wish: Wish, song: StreamFormat) -> None:
    """For any song; and what was wished for is what is made, where the song's own rate leaves it possible."""
    try:
        check(form, wish)
    except UnsupportedFormat:
        return
    spec = resolve(form, wish, song)
    assert spec.sample_rate == wish.sample_rate or wish.sample_rate is None
    assert spec.channels == (wish.channels or song.channels)
    assert (spec.bitrate is None) == (form.codec in ("pcm", "flac"))
