"""Tests of wishes: what can be met passes in its order, the rest is refused by the field that is wrong.

Invariant under test: whatever passes can be resolved for any song.
It must not know streams.
"""

import pytest

from gateway.errors import RequestError
from gateway.protocol.messages import FormatSpec
from gateway.relay.wishes import Wished, possible, serves
from tests.support.relay import DETAILS
from transcode.formats import FORMATS, MP3, OGG, PCM, WAV
from transcode.spec import Wish


def test_every_format_may_be_wished_for() -> None:
    """By its extension; some by the name of their codec."""
    assert [wished.form for wished in possible([FormatSpec(name) for name in FORMATS])] == list(FORMATS.values())
    assert possible([FormatSpec("opus")]) == [Wished(OGG, Wish())]


def test_what_cannot_be_met_is_left_out() -> None:
    """As long as something is left; numbers go along."""
    wishes = [FormatSpec("midi"), FormatSpec("pcm", 24000, 1, loudness=-16.0), FormatSpec("ogg", sample_rate=44100)]
    assert possible(wishes) == [Wished(PCM, Wish(24000, 1, None, -16.0))]


@pytest.mark.parametrize(
    ("wishes", "param", "word"),
    [
        ([], "format", "format"),
        ([FormatSpec("midi")], "format", "flac"),
        ([FormatSpec("ogg", sample_rate=44100)], "format.sample_rate", "48000"),
        ([FormatSpec("pcm", channels=6)], "format.channels", "1 or 2"),
        ([FormatSpec("flac", bitrate=128000)], "format.bitrate", "bitrate"),
        ([FormatSpec("mp3", loudness=0.0)], "format.loudness", "LUFS"),
        ([FormatSpec("midi"), FormatSpec("pcm", channels=6)], "format", "flac"),
    ],
)
def test_the_first_mistake_is_told(wishes: list[FormatSpec], param: str, word: str) -> None:
    """With what there is instead."""
    with pytest.raises(RequestError) as refused:
        possible(wishes)
    assert (refused.value.code, refused.value.param) == ("unsupported_format", param)
    assert word in refused.value.message


@pytest.mark.parametrize(
    ("wish", "known", "served"),
    [
        (Wished(MP3, Wish()), False, True),
        (Wished(WAV, Wish()), False, False),
        (Wished(MP3, Wish(44100)), False, False),
        (Wished(MP3, Wish(44100)), True, True),
        (Wished(MP3, Wish(44100, 2, 128000)), True, True),
        (Wished(MP3, Wish(48000)), True, False),
        (Wished(MP3, Wish(channels=1)), True, False),
        (Wished(MP3, Wish(bitrate=64000)), True, False),
        (Wished(MP3, Wish(loudness=-16.0)), True, False),
    ],
)
def test_which_wishes_the_provider_meets(wish: Wished, known: bool, served: bool) -> None:
    """One without numbers needs the name alone; numbers are met only by audio that is known to have them."""
    assert serves(MP3, DETAILS if known else None, wish) is served
