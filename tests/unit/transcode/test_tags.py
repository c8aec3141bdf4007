"""Tests of the tags between MP3 frames: their length is told from the head alone, and as early as can be.

They know nothing of frames; heads are written by hand from the tags' specifications.
Invariant under test: a tag is never mistaken for sound.
"""

import pytest

from transcode.tags import MAX_TAG, TAG_HEAD, tag_length

APE_HEAD = b"APETAGEX" + (2000).to_bytes(4, "little") + (100).to_bytes(4, "little") + bytes(4)


@pytest.mark.parametrize(
    ("head", "length"),
    [
        (b"ID3\x03\0\0\0\0\0\0", 10),
        (b"ID3\x04\0\0\0\0\x02\x01", 10 + 257),
        (b"ID3\x04\0\x10\0\0\x02\x01", 20 + 257),
        (b"ID3\x04\0\0\0\0\0\x80", 0),
        (b"ID3\x04\0\0\x7f\x7f\x7f\x7f", 0),
        (b"TAG", 128),
        (APE_HEAD + b"\0\0\0\xa0", 132),
        (APE_HEAD + b"\0\0\0\x80", 32),
        (b"APETAGEX" + bytes(4) + b"\xff\xff\xff\xff" + bytes(4) + b"\0\0\0\xa0", 0),
        (b"TAX", 0),
        (b"\xff\xfb\x90\x64", 0),
    ],
)
def test_length(head: bytes, length: int) -> None:
    """A whole head says the length, head and footer included; what is no tag, or absurd, says 0."""
    assert tag_length(head) == length
    assert tag_length((head + bytes(TAG_HEAD))[:TAG_HEAD]) == length


@pytest.mark.parametrize("head", [b"", b"I", b"ID3", b"ID3\x04\0\0\0\0\0", b"T", b"TA", b"A", APE_HEAD])
def test_more_is_needed(head: bytes) -> None:
    """The beginning of a tag's head is neither a tag nor none."""
    assert tag_length(head) is None


def test_largest_believed() -> None:
    """A tag of exactly the largest size is believed, one more octet is not."""
    size = MAX_TAG - 10
    head = b"ID3\x04\0\0" + bytes(size >> shift & 0x7F for shift in (21, 14, 7, 0))
    assert tag_length(head) == MAX_TAG
    assert tag_length(head[:-1] + bytes((head[-1] + 1,))) == 0
