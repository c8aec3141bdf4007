"""The score's nouns.

Invariant tested: scores are values, compared by what they say.
It must not know how scores come to be.
"""

from dataclasses import FrozenInstanceError

import pytest

from gateway.upstream.simulator.music.score import Note, Part


def test_notes_are_frozen_values() -> None:
    """Equal notes are equal, and nobody changes one."""
    note = Note(Part.LEAD, 0.0, 1.0, 60, 0.5)
    assert note == Note(Part.LEAD, 0.0, 1.0, 60, 0.5, "", 0)
    with pytest.raises(FrozenInstanceError):
        note.pitch = 61  # type: ignore[misc]  # what must not be possible
