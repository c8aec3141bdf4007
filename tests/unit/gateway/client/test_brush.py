"""Colours, and none.

Invariant under test: whatever is switched on is switched off again.
It must not know what is drawn.
"""

from gateway.client.brush import BOLD, RED, Brush


def test_paint_ends_where_the_text_does() -> None:
    """Several styles at once; nothing is painted around nothing."""
    brush = Brush(colour=True)
    assert brush("a", BOLD, RED) == "\x1b[1;31ma\x1b[0m"
    assert brush("", RED) == ""


def test_without_colour_text_is_text() -> None:
    """As NO_COLOR asks."""
    assert Brush(colour=False)("a", RED) == "a"
