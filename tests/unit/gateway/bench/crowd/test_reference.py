"""The log that everybody is held to, and the claims it is held against.

Invariant under test: nothing that is claimed wrongly goes through, and a log with a hole proves nothing.
It must not know lines.
"""

import hashlib

import pytest

from gateway.bench.crowd.reference import Claim, Reference
from tests.support.crowd import audio, message

SONG = (b"one", b"two", b"three")
HASH = hashlib.sha256(b"onetwothree").hexdigest()


def log(*order: int) -> Reference:
    """Heard in this order, a second apart."""
    made = Reference()
    for moment, seq in enumerate(order):
        made.add(seq, audio(seq, SONG[seq]), message(seq, SONG[seq]), float(moment))
    return made


def test_a_log_is_whole_in_whatever_order_it_was_heard() -> None:
    """The body is in the song's order."""
    made = log(1, 0, 2)
    assert bytes(made.body) == b"onetwothree"
    assert made.starts == [0, 3, 6]
    assert made.doubt(Claim(11, 3, HASH)) is None
    assert made.digest() == HASH


@pytest.mark.parametrize(
    ("claim", "words"),
    [
        (Claim(10, 3, HASH), "10 bytes, where everybody heard 11"),
        (Claim(11, 4, HASH), "4 frames, where everybody heard 3"),
        (Claim(11, 3, "0" * 64), "its hash is not that"),
        (Claim(11, rest=b"thrue"), "5 bytes at the end"),
    ],
)
def test_a_wrong_claim_is_doubted(claim: Claim, words: str) -> None:
    """In words."""
    assert words in (log(0, 1, 2).doubt(claim) or "")


def test_a_log_with_a_hole_proves_nothing() -> None:
    """Not even what would be right."""
    assert "nobody heard all" in (log(0, 2).doubt(Claim(11, 3, HASH)) or "")


def test_what_is_not_known_is_not_held_against_anybody() -> None:
    """Over HTTP, who came late knows its end alone."""
    assert log(0, 1, 2).doubt(Claim(None, rest=b"three")) is None


def test_a_place_is_found_from_the_end() -> None:
    """Where a chunk begins, and nowhere else."""
    made = log(0, 1, 2)
    assert made.find(b"twothr") == 3
    assert made.find(b"wo") is None


def test_how_long_everybody_took() -> None:
    """Of chunks that were first heard since then."""
    made = log(0, 1, 2)
    made.last[2] = 5.5
    made.add_chunk(6, b"5\r\nthree\r\n", 5, 4.0)
    assert made.chunks == {6: (b"5\r\nthree\r\n", 11)}
    assert made.spreads(1.5) == [3.5, 0.0]
