"""What is being measured just now, for whoever waits in front of a terminal.

Invariant: in a terminal it is one line that gives way to the figures; elsewhere a line for each step.
It must not know what is measured.
"""

from typing import TextIO

_CLEAR = "\r\x1b[K"


class Progress:
    """Writes to `stream`, usually standard error."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._live = stream.isatty()

    def tell(self, what: str) -> None:
        """This comes next."""
        self._write(f"{_CLEAR}measuring {what} ..." if self._live else f"measuring {what}\n")

    def clear(self) -> None:
        """Figures come next."""
        if self._live:
            self._write(_CLEAR)

    def _write(self, words: str) -> None:
        self._stream.write(words)
        self._stream.flush()
