"""What is written while a song comes in, on a terminal and elsewhere.

Invariant under test: the terminal is left as it was found, and whoever is no terminal gets no escape sequence.
The terminal is a string that says it is one.
"""

import asyncio
import io
from typing import Any

import pytest

from gateway.client.progress import Progress
from gateway.client.song import State
from gateway.client.statistics import Statistics
from gateway.client.terminal import HIDE_CURSOR, SHOW_CURSOR


class Log(io.StringIO):
    """Remembers, and tells when it was first written to."""

    def __init__(self) -> None:
        super().__init__()
        self.written = asyncio.Event()

    def write(self, text: str) -> int:
        self.written.set()
        return super().write(text)


class Terminal(Log):
    def isatty(self) -> bool:
        return True


class Told:
    """A song as far as the progress cares."""

    id = "st-1"
    info = None
    title = "Rain"
    state = State.RECEIVING
    statistics = Statistics(seconds=2.0, bytes=64_000, frames=20)


def progress(err: io.StringIO, **environment: str) -> Progress:
    return Progress(err, lambda: 0.0, environment)


async def run_until_written(shown: Progress, err: Log) -> None:
    ticker = asyncio.ensure_future(shown.run())
    async with asyncio.timeout(5.0):
        await err.written.wait()
    ticker.cancel()
    await asyncio.wait([ticker])


async def test_a_terminal_gets_a_picture_and_its_cursor_back() -> None:
    """Drawn at once, redrawn in place, and restored at the end."""
    err = Terminal()
    shown = progress(err)
    await run_until_written(shown, err)
    assert err.getvalue().startswith(HIDE_CURSOR)
    assert "connecting" in err.getvalue()
    song: Any = Told()
    shown.song = song
    shown.finish()
    assert "256 kbit/s" in err.getvalue()
    assert err.getvalue().endswith(SHOW_CURSOR)


async def test_elsewhere_there_are_plain_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    """A log gets a line now and then, and not one escape sequence."""
    monkeypatch.setattr("gateway.client.progress.LINE_SECONDS", 0.01)
    err = Log()
    shown = progress(err)
    song: Any = Told()
    shown.song = song
    await run_until_written(shown, err)
    shown.finish()
    shown.say("Done.", style="31")
    lines = err.getvalue().splitlines()
    assert lines[0] == "st-1: receiving, 0:02 heard, 256 kbit/s, 64 kB"
    assert lines[-1] == "Done."
    assert "\x1b" not in err.getvalue()


@pytest.mark.parametrize(
    ("environment", "coloured"),
    [({}, True), ({"NO_COLOR": "1"}, False), ({"NO_COLOR": ""}, True), ({"TERM": "dumb"}, False)],
)
def test_colours_are_for_those_who_want_them(environment: dict[str, str], coloured: bool) -> None:
    """NO_COLOR and a dumb terminal get words alone."""
    err = Terminal()
    progress(err, **environment).say("Done.", style="31")
    assert ("\x1b[31m" in err.getvalue()) is coloured
    assert "Done." in err.getvalue()


async def test_a_picture_of_nothing_is_taken_away() -> None:
    """When there never was a song, the terminal is left empty for the sentence that says why."""
    err = Terminal()
    shown = progress(err, NO_COLOR="1")
    await run_until_written(shown, err)
    shown.finish()
    assert err.getvalue().endswith(f"\x1b[3A\r\x1b[J{SHOW_CURSOR}")


def test_what_is_said_cannot_command_the_terminal_and_is_broken_between_parts() -> None:
    """Words from outside are words, and a part stays whole."""
    err = Terminal()
    progress(err, NO_COLOR="1").say("a\x1b[2J", "b" * 70, "c" * 20)
    assert err.getvalue().splitlines() == [f"  a [2J · {'b' * 70}", f"  {'c' * 20}"]


def test_a_terminal_that_is_gone_disturbs_nothing() -> None:
    """An error of the terminal is not an error of the song."""

    class Gone(Terminal):
        def write(self, text: str) -> int:
            raise BrokenPipeError

    progress(Gone()).finish()


def test_the_width_is_the_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture is as wide as the terminal that it is drawn on."""

    class Narrow(Terminal):
        def fileno(self) -> int:
            return 2

    monkeypatch.setattr("os.get_terminal_size", lambda number: __import__("os").terminal_size((40, 10)))
    err = Narrow()
    shown = progress(err, NO_COLOR="1")
    song: Any = Told()
    shown.song = song
    shown.finish()
    assert any(len(line) == 38 for line in err.getvalue().replace("\x1b[K", "").splitlines())
