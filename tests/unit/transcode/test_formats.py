"""Tests of the table of formats: rows are found by their own name and are constants.

They know nothing of what makes or plays the formats.
Invariant under test: the table is complete and constant.
"""

import pytest

from transcode.formats import FORMATS, MP3, WAV, CodecFrame, Format, StreamFormat


def test_rows_stand_under_their_names() -> None:
    """A format is looked up by the extension that it is named after."""
    assert all(name == row.name for name, row in FORMATS.items())
    assert FORMATS["mp3"] is MP3
    assert FORMATS["wav"] is WAV


def test_only_containers_have_an_init_chunk() -> None:
    """MP3 can be joined at any frame, WAV needs its header first."""
    assert not MP3.container
    assert WAV.container


@pytest.mark.parametrize("row", list(FORMATS.values()), ids=lambda row: row.name)
def test_mime_types_are_audio(row: Format) -> None:
    """Both types of every row name audio, and the HTTP one carries no parameters that the header would need quoted."""
    assert row.mime.startswith("audio/")
    assert row.content_type.startswith("audio/")


def test_nouns_are_values() -> None:
    """Frames and formats compare by what they hold and cannot be changed after the fact."""
    assert StreamFormat(MP3, 44100, 2, 128000) == StreamFormat(MP3, 44100, 2, 128000)
    frame = CodecFrame(b"x", 1152)
    assert frame == CodecFrame(b"x", 1152, discontinuity=False)
    with pytest.raises(AttributeError):
        frame.samples = 0  # type: ignore[misc] - that it is refused is the test
