"""A family of models as a value: what it leaves out is nothing, not something.

Invariant under test: a family that says nothing of a hook behaves as if there were none.
It must not know HTTP.
"""

from gateway.protocol.fun_music import FAMILY


def test_a_family_without_a_prelude_or_words_of_its_own_adds_nothing() -> None:
    """Songs begin with their own bytes, and nothing stands beside them in an event."""
    assert FAMILY.prelude(b"ID3") == b""
    assert FAMILY.interim == {}
