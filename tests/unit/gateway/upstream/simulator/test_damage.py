"""Bytes that are no music.

Invariant tested: damage is where it was wanted, however the music is cut, and the same each time.
It must not know songs.
"""

import pytest

from gateway.upstream.simulator.damage import garbage, replaced, spliced


@pytest.mark.parametrize("pieces", [[b"abcdef"], [b"a", b"", b"bcd", b"ef"], [b"ab", b"cdef"]])
@pytest.mark.parametrize(("at", "whole"), [(0, b"!abcdef"), (2, b"ab!cdef"), (6, b"abcdef!"), (9, b"abcdef!")])
def test_a_splice_is_at_its_byte(pieces: list[bytes], at: int, whole: bytes) -> None:
    """Once, before the byte it names or at the end."""
    assert b"".join(spliced(pieces, at, b"!")) == whole


def test_garbage_is_the_same_each_time() -> None:
    """As long as wanted, and not of one byte."""
    assert garbage(1000) == garbage(1000)
    assert len(garbage(1000)) == 1000
    assert len(set(garbage(1000))) > 200


def test_noise_has_the_length_of_what_it_replaces() -> None:
    """Piece by piece, nothing of which is left."""
    pieces = [b"music" * 10, b"", b"more"]
    noise = list(replaced(pieces))
    assert [len(piece) for piece in noise] == [50, 0, 4]
    assert b"music" not in noise[0]
    assert noise == list(replaced(pieces))
