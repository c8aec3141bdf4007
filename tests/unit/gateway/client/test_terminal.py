"""The picture on the terminal, as strings.

Invariant under test: no line is wider than the terminal, nothing from outside commands it, and only what was measured
is shown. No terminal is involved.
"""

import re
from dataclasses import replace

import pytest

from gateway.client.brush import Brush
from gateway.client.meter import Loudness
from gateway.client.statistics import Statistics
from gateway.client.terminal import (
    HIDE_CURSOR,
    SHOW_CURSOR,
    Canvas,
    View,
    bar,
    clock,
    columns,
    fit,
    flow,
    picture,
    plain,
    size,
)

PLAIN = Brush(colour=False)
RUNNING = Statistics(
    first_audio=1.234, elapsed=20.0, seconds=43.0, bytes=1_376_000, frames=300, behind=0.0, listeners=3
)


def shown(view: View, width: int = 80) -> str:
    return "\n".join(picture(view, width, PLAIN))


def test_a_running_song_shows_everything_that_is_known() -> None:
    """Title, stream, time, rates and facts stand in the picture, at 80 columns one line each."""
    text = shown(View("receiving", "夜雨", "st-1", 25.0, False, RUNNING))
    assert text.split("\n") == [
        "",
        "  夜雨",
        "  stream st-1",
        "  ● receiving",
        f"  0:43 {'━' * 47}{'─' * 19} 1:00",
        "  256 kbit/s · 2.1× real time · 3 listeners",
        "  first sound after 1.23 s · 1.4 MB",
        "",
    ]


def test_waiting_shows_how_long() -> None:
    """Before the first sound there are no numbers, only what is waited for and how long."""
    text = shown(View("waiting", "Rain", "st-1", 3.6, True))
    assert "waiting for the first sound · 4 s" in text
    assert "simulated" in text
    assert "kbit/s" not in text
    assert shown(View("connecting")).strip() == "⠋ connecting · 0 s"


def test_trouble_is_counted() -> None:
    """Reconnects and gaps appear once there are any, in the singular for one."""
    text = shown(View("receiving", numbers=Statistics(seconds=1.0, bytes=999, frames=1, reconnects=1, gaps=2)))
    assert "1 kB · 1 reconnect · 2 gaps" in text


def test_lag_is_shown_when_there_is_any() -> None:
    """A listener behind the generation sees by how much; one that is not sees nothing of it."""
    behind = Statistics(seconds=10.0, bytes=1, frames=1, behind=12.34)
    assert "12.3 s behind" in shown(View("receiving", numbers=behind))
    assert "behind" not in shown(View("receiving", numbers=RUNNING))


def test_a_song_that_ended_early_has_stopped_turning() -> None:
    """Nothing moves any more, and nothing claims completion."""
    assert "■ ended\n" in shown(View("ended", waited=9.0, numbers=RUNNING))


def test_a_completed_song_has_a_full_bar() -> None:
    """At the end the bar stands for the song itself."""
    text = shown(View("completed", numbers=RUNNING))
    assert "✓ completed" in text
    assert "─" not in text
    assert text.count("0:43") == 2


@pytest.mark.parametrize("width", [15, 20, 40, 57, 80, 200])
@pytest.mark.parametrize("state", ["connecting", "waiting", "receiving", "reconnecting", "completed", "ended"])
def test_no_line_is_wider_than_the_terminal(width: int, state: str) -> None:
    """Wide characters and long ids included, nothing wraps."""
    numbers = Statistics(1.0, 9.0, 5000.0, 99_000_000, 9000, 100.0, 20000, 12, 3, 4)
    view = View(state, "城市夜雨" * 20, "stream-" + "x" * 60, 12.0, True, numbers, (12, 345.6), "Why?" * 20)
    measured = replace(view, peaks=[0.5] * 9000, loudness=Loudness((0.5, 0.5), (0.9, 0.9)))
    for moment in (view, measured):
        assert max(columns(line) for line in picture(moment, width, PLAIN)) <= width


def test_colours_change_nothing_but_colours() -> None:
    """Without its escape sequences the coloured picture is the plain one, and the plain one has none."""
    view = View("receiving", "Rain", "st", 1.0, True, RUNNING)
    coloured = "\n".join(picture(view, 80, Brush(colour=True)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == shown(view)
    assert "\x1b" in coloured
    assert "\x1b" not in shown(view)


def test_a_title_cannot_command_the_terminal() -> None:
    """Control characters from outside are not written."""
    text = shown(View("waiting", "a\x1b]0;evil\x07\nb", "id\x9b2J"))
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", text)


def test_the_bar_takes_the_next_scale_when_it_is_full() -> None:
    """The scale grows with the song, also past the last that is prepared, and shows what exists but was not heard."""
    assert bar(15.0, 0.0, 30, PLAIN).endswith("0:15")
    assert bar(15.1, 0.0, 30, PLAIN).endswith("0:30")
    assert bar(5000.0, 0.0, 30, PLAIN).endswith("1:23:20")
    assert bar(10.0, 10.0, 40, PLAIN) == f"0:10 {'━' * 10}{'╍' * 10}{'─' * 10} 0:30"
    assert bar(0.0, 0.0, 20, PLAIN, whole=True) == f"0:00 {'━' * 10} 0:00"


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.99, "0:59"), (61, "1:01"), (3599, "59:59"), (3661.5, "1:01:01")]
)
def test_time_reads_like_a_clock(seconds: float, text: str) -> None:
    """Minutes and seconds, with hours when there are any."""
    assert clock(seconds) == text


def test_sizes_are_in_readable_units() -> None:
    """Small sizes in kB, large ones in MB."""
    assert (size(12_345), size(8_040_000)) == ("12 kB", "8.0 MB")


def test_text_is_cut_at_columns_not_characters() -> None:
    """A wide character takes two columns, a combining one none."""
    assert fit("夜雨夜雨", 8) == "夜雨夜雨"
    assert fit("夜雨夜雨", 7) == "夜雨夜…"
    assert fit("a b c", 3) == "a…"
    assert columns("e\u0301") == 1


def test_parts_flow_into_lines() -> None:
    """Parts stay whole, even one that is too wide; a line takes as many as fit."""
    assert flow(["a" * 12, "b"], 9) == ["a" * 12, "b"]
    assert flow(["aaa", "bbb", "ccc"], 9) == ["aaa · bbb", "ccc"]
    assert flow([], 9) == []


@pytest.mark.parametrize(("elapsed", "text"), [(20.0, "2.1× real time"), (1.0, "43× real time")])
def test_the_speed_has_two_digits(elapsed: float, text: str) -> None:
    """Speeds are shown as precisely as they can be told apart."""
    assert text in shown(View("receiving", numbers=Statistics(elapsed=elapsed, seconds=43.0, bytes=9, frames=1)))


def test_the_plain_line_says_the_same() -> None:
    """Without a terminal it is one line, with what is known."""
    assert plain(View("connecting", waited=2.0)) == "connecting, 2 s"
    line = plain(View("receiving", "Rain", "st-1", 25.0, False, RUNNING))
    assert line == "st-1: receiving, 0:43 heard, 256 kbit/s, 2.1× real time, 3 listeners, 1.4 MB"


def test_each_picture_replaces_the_one_before() -> None:
    """The cursor goes up by the rows of the old picture, more where a narrower terminal has wrapped them."""
    canvas = Canvas()
    assert canvas.redraw(["one", "\x1b[1mtwo\x1b[0m"], 80) == f"{HIDE_CURSOR}one\x1b[K\n\x1b[1mtwo\x1b[0m\x1b[K\n\x1b[J"
    assert canvas.redraw(["three"], 2).startswith("\x1b[4A\r")
    assert canvas.redraw([], 80).startswith("\x1b[1A\r")


def test_the_cursor_comes_back_once() -> None:
    """What was hidden is shown again, and a canvas that drew nothing leaves nothing."""
    canvas = Canvas()
    assert canvas.leave() == ""
    canvas.redraw(["one"], 80)
    assert canvas.leave() == SHOW_CURSOR
    assert canvas.leave() == ""


LOUD = Loudness((0.25, 0.25), (0.5, 0.5))


def test_a_song_that_is_measured_has_its_landscape_and_its_level() -> None:
    """Two rows and a meter a channel at 80 columns, one row on a narrow terminal, only the landscape at the end."""
    view = View("receiving", numbers=RUNNING, peaks=[0.5] * 430, loudness=LOUD)
    text = shown(view)
    assert text.split("\n")[2:6] == [
        f"       {'█' * 47}",
        f"  0:43 {'█' * 47}{'─' * 19} 1:00",
        f"     L {'━' * 47}{'─' * 7}╸{'─' * 8}  -12 dB",
        f"     R {'━' * 47}{'─' * 7}╸{'─' * 8}  -12 dB",
    ]
    assert shown(view, 44).count("█") == 21
    done = shown(View("completed", numbers=RUNNING, peaks=[0.5] * 430, loudness=LOUD))
    assert "dB" not in done
    assert "█" * 66 in done
    assert "█" not in shown(view, 24)


def test_what_is_behind_stands_behind_the_landscape() -> None:
    """As in the bar."""
    numbers = Statistics(seconds=10.0, bytes=1, frames=1, behind=10.0)
    assert f"{'█' * 22}{'╍' * 22}{'─' * 22} 0:30" in shown(View("receiving", numbers=numbers, peaks=[0.5] * 100))


@pytest.mark.parametrize(
    ("place", "words"),
    [((3, None), "number 3 in the queue ·"), ((2, 12.4), "number 2 in the queue, 12 s to go ·"), (None, "first sound")],
)
def test_the_queue_is_told(place: tuple[int, float | None] | None, words: str) -> None:
    """Where it stands, and for how long if that is known."""
    assert words in shown(View("waiting", place=place))
    assert words.rstrip(" ·") in plain(View("waiting", place=place))


def test_a_lost_connection_says_why_while_it_lasts() -> None:
    """And not afterwards."""
    assert "  The connection was lost.\n" in shown(
        View("reconnecting", why="The connection was lost.", numbers=RUNNING)
    )
    assert "lost" not in shown(View("receiving", why="The connection was lost.", numbers=RUNNING))
