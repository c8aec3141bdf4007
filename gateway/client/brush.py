"""Colours on a terminal, or none (NO_COLOR).

Invariant: text without a style is text; what was switched on is switched off behind it.
It must not know what is drawn.
"""

BOLD, DIM, RED, GREEN, YELLOW, CYAN = "1", "2", "31", "32", "33", "36"


class Brush:
    """Paints text, or leaves it as it is."""

    def __init__(self, *, colour: bool) -> None:
        self._colour = colour

    def __call__(self, text: str, *styles: str) -> str:
        return f"\x1b[{';'.join(styles)}m{text}\x1b[0m" if self._colour and text else text
