"""Tests of the door to the decoders.

Invariant under test: a framer's name for a coding finds its decoder, and no other name does.
What decoders do is tested beside each of them.
"""

import pytest

from transcode.decoder import decoder
from transcode.errors import UnknownFormat
from transcode.formats import CodecFrame
from transcode.mp3decoder import Mp3Decoder


def test_each_coding_has_its_decoder() -> None:
    """MP3 knows of what was skipped, PCM does not care."""
    mp3 = decoder("mp3", 44100, 2, skipped=1152, lead=1105)
    assert isinstance(mp3, Mp3Decoder)
    assert (mp3.sample_rate, mp3.channels, mp3.lead, mp3.errors) == (44100, 2, 1105, 0)
    pcm = decoder("pcm_s16le", 24000, 1, skipped=99, lead=0)
    assert (pcm.sample_rate, pcm.channels, pcm.lead, pcm.errors) == (24000, 1, 0, 0)
    assert pcm.decode([CodecFrame(b"ab", 1)])[0].block.shape == (1, 1)


def test_no_other_coding_has() -> None:
    """It is refused by name."""
    with pytest.raises(UnknownFormat, match="vorbis"):
        decoder("vorbis", 44100, 2)
