"""Progress in a terminal and elsewhere.

Invariant under test: in a terminal nothing of it is left beside the figures.
It must not know what is measured.
"""

import io

from gateway.bench.progress import Progress


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_a_terminal_has_one_line() -> None:
    """Which is cleared before the next, and before figures."""
    stream = Terminal()
    progress = Progress(stream)
    progress.tell("a")
    progress.tell("b")
    progress.clear()
    assert stream.getvalue() == "\r\x1b[Kmeasuring a ...\r\x1b[Kmeasuring b ...\r\x1b[K"


def test_a_file_has_a_line_for_each_step() -> None:
    """And nothing is cleared."""
    stream = io.StringIO()
    progress = Progress(stream)
    progress.tell("a")
    progress.clear()
    progress.tell("b")
    assert stream.getvalue() == "measuring a\nmeasuring b\n"
