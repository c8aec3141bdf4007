"""What is written while a song comes in, on a terminal and elsewhere.

Invariant under test: the terminal is left as it was found, and whoever is no terminal gets no escape sequence.
The terminal is a string that says it is one.
"""

import asyncio
import io
from typing import Any

import pytest

from gateway.client.errors import ClientError
from gateway.client.event import Interruption, State
from gateway.client.meter import Meter
from gateway.client.progress import Progress
from gateway.client.statistics import Statistics
from gateway.client.terminal import HIDE_CURSOR, SHOW_CURSOR
from gateway.protocol.events import FormatInfo, StreamQueued


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
    queued: StreamQueued | None = None


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


@pytest.mark.parametrize(
    ("queued", "later", "place"),
    [
        (StreamQueued("s", 3, None), 10.0, (3, None)),
        (StreamQueued("s", 3, 8000), 2.0, (3, 6.0)),
        (StreamQueued("s", 3, 1000), 2.0, (3, 0.0)),
        (StreamQueued("s", 1, 8000), 2.0, (1, 6.0)),
        (StreamQueued("s", 1, 1000), 2.0, None),
    ],
)
def test_a_place_in_the_queue_is_counted_down(
    queued: StreamQueued, later: float, place: tuple[int, float | None] | None
) -> None:
    """From when it was told; who is first, and whose time has come, stands in no queue any more."""
    clock = {"now": 100.0}
    song: Any = Told()
    shown = Progress(io.StringIO(), lambda: clock["now"], {})
    shown.song, song.queued = song, queued
    shown.view()
    clock["now"] += later
    assert shown.view().place == place


def test_an_interruption_is_told_once_in_a_log_and_shown_in_a_picture() -> None:
    """Why, and when it goes on; nothing of it before there is a song."""
    broken = Interruption(ClientError("connection_lost", "The connection was lost."), 0.25)
    song: Any = Told()
    song.state = State.RECONNECTING
    log, terminal = io.StringIO(), Terminal()
    for err in (log, terminal):
        shown = progress(err)
        shown.interrupted(broken)
        assert err.getvalue() == ""
        shown.song = song
        shown.interrupted(broken)
        shown.finish()
    assert log.getvalue() == "st-1: The connection was lost. Again in 0.2 s.\n"
    assert "The connection was lost." in terminal.getvalue()


def test_sentences_are_broken_between_words(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a terminal; a log has them on one line."""
    sentence = "All streams this tenant may run at once are running: wait for one to end, or cancel one of them now."
    for err, lines in ((Log(), 1), (Terminal(), 2)):
        progress(err, NO_COLOR="1").explain(sentence, style="31")
        assert len(err.getvalue().splitlines()) == lines
        assert err.getvalue().split() == sentence.split()


def test_what_was_measured_is_in_the_picture() -> None:
    """The song's peaks and its level, in the place of a bare bar."""

    class Level:
        peak, rms = (0.5,), (0.25,)

    class Measure:
        def feed(self, payload: bytes) -> list[Any]:
            return [Level()] * 40

    meter = Meter(lambda *form: Measure())
    meter.feed(FormatInfo("mp3", "audio/mpeg", 48000, 1, None), b"x")
    err = Terminal()
    shown = Progress(err, lambda: 0.0, {"NO_COLOR": "1"}, meter)
    song: Any = Told()
    shown.song = song
    shown.finish()
    assert "█" in err.getvalue()
    assert "-12 dB" in err.getvalue()
