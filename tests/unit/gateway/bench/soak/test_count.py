"""What is counted of guests.

Invariant under test: what must not be is a fault with its words, what haste explains is none.
It must not know guests.
"""

from gateway.bench.soak.count import NEVER, Count
from gateway.errors import HANDLING


def test_what_must_not_be_is_a_fault() -> None:
    """With the first words of each kind; a refusal that may be is only counted."""
    count = Count()
    for number in range(5):
        count.refused({"code": "internal", "message": f"no {number}"}, "/v1/streams")
    count.refused({"code": "upstream_failed", "message": "it failed"}, "/v1/streams")
    count.wrong("hash", "another one")
    assert count.refusals == {"internal": 5, "upstream_failed": 1}
    assert count.faults == {"internal": 5, "hash": 1}
    assert count.words == [*(f"internal: at /v1/streams: no {number}" for number in range(3)), "hash: another one"]


def test_haste_is_no_fault() -> None:
    """A piece of what is not there yet; at every other door the same code is one."""
    count = Count()
    count.refused({"code": "invalid_input", "message": "not yet"}, "/v1/streams/st_1/clip.mp3?start=1")
    assert not count.faults
    count.refused({"code": "invalid_input", "message": "not yet"}, "/v1/streams")
    assert count.faults == {"invalid_input": 1}


def test_counts_are_told_by_how_often() -> None:
    """The most frequent first."""
    count = Count()
    for what in ("b", "a", "c", "c"):
        count.did(what)
    assert count.told(count.done) == "2 c, 1 a, 1 b"


def test_codes_are_ours() -> None:
    """Each that must never be is one that there is."""
    assert set(NEVER) <= set(HANDLING)
