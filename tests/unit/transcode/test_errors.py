"""Tests of the codec room's exceptions: callers catch one tree, and may tell its leaves apart.

They know nothing of who raises what.
Invariant under test: every leaf is a TranscodeError.
"""

import pytest

from transcode.errors import ClipError, EncodeError, TranscodeError, UnknownFormat, UnsupportedFormat


@pytest.mark.parametrize("leaf", [UnknownFormat, EncodeError])
def test_one_tree(leaf: type[TranscodeError]) -> None:
    """Every exception of the codec room is a TranscodeError, and its text is the sentence it was given."""
    with pytest.raises(TranscodeError, match="a sentence"):
        raise leaf("a sentence")
    assert not issubclass(leaf, ValueError)


@pytest.mark.parametrize("leaf", [UnsupportedFormat, ClipError])
def test_some_name_a_field(leaf: type[UnsupportedFormat] | type[ClipError]) -> None:
    """What was asked for wrongly is told beside the sentence."""
    with pytest.raises(TranscodeError, match="a sentence") as raised:
        raise leaf("start", "a sentence")
    assert isinstance(raised.value, leaf)
    assert raised.value.field == "start"
