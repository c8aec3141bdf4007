"""The picture that `wavegate listen` draws on a terminal: state in, text out.

Invariant: pure; no line is wider than the terminal, whatever the title (a Chinese character takes two columns), and
control characters in a title never reach the terminal. Only measured numbers are drawn: where nothing is known,
nothing is shown. It must not know where the numbers come from or what the text is written to.
"""

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from gateway.client.brush import BOLD, CYAN, DIM, GREEN, YELLOW, Brush
from gateway.client.meter import PEAKS_A_SECOND, Loudness
from gateway.client.statistics import Statistics
from gateway.client.wave import landscape, meters

SPINNER = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
# What the bar's full width stands for, in seconds: the next one is taken when the song grows past it.
SCALES = (15, 30, 60, 120, 240, 480, 900, 1800, 3600)
WIDEST = 100
# The song's peaks take two rows on terminals that are not narrow.
TWO_ROWS = 50

HIDE_CURSOR, SHOW_CURSOR = "\x1b[?25l", "\x1b[?25h"
_CLEAR_LINE, _CLEAR_BELOW = "\x1b[K", "\x1b[J"
_STYLE = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True, slots=True)
class View:
    """One moment. `state` is a gateway.client.event.State or "connecting"; `waited` counts seconds since the order.

    `place` is where it stands in the queue for the provider and in how many seconds it starts, if that is known. `why`
    is a sentence about a state that is not as it should be. `loudness` and `peaks` are there if the sound is measured.
    """

    state: str
    title: str | None = None
    stream_id: str | None = None
    waited: float = 0.0
    simulated: bool = False
    numbers: Statistics = field(default_factory=Statistics)
    place: tuple[int, float | None] | None = None
    why: str | None = None
    loudness: Loudness | None = None
    peaks: Sequence[float] = ()


# -- text ----------------------------------------------------------------------------------------------------------


def clock(seconds: float) -> str:
    """Seconds as m:ss or h:mm:ss. A sum of many frames may miss a whole second by a rounding: that is not shown."""
    minutes, rest = divmod(int(seconds + 0.001), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def size(count: int) -> str:
    """Bytes, in the unit in which they are easy to read."""
    if count < 1_000_000:
        return f"{count / 1000:.0f} kB"
    return f"{count / 1_000_000:.1f} MB"


def columns(text: str) -> int:
    """How many columns a terminal needs for `text` (which has no escape sequences)."""
    return sum(_columns(character) for character in text)


def clean(text: str) -> str:
    """`text` from outside without the characters that command a terminal."""
    return "".join(" " if unicodedata.category(character) == "Cc" else character for character in text)


def fit(text: str, width: int) -> str:
    """The beginning of `text` that fits in `width` columns, cleaned, with … where it was cut."""
    text = clean(text)
    if columns(text) <= width:
        return text
    kept, used = [], 0
    for character in text:
        used += _columns(character)
        if used > width - 1:
            break
        kept.append(character)
    return "".join(kept).rstrip() + "…"


def flow(parts: Iterable[str], width: int) -> list[str]:
    """Parts joined by a dot, broken into lines between parts; a part that is wider than a line stays whole."""
    lines: list[str] = []
    for part in parts:
        if lines and columns(lines[-1]) + 3 + columns(part) <= width:
            lines[-1] += f" · {part}"
        else:
            lines.append(part)
    return lines


def _columns(character: str) -> int:
    if unicodedata.combining(character):
        return 0
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


# -- the picture -----------------------------------------------------------------------------------------------------


def picture(view: View, width: int, brush: Brush) -> list[str]:
    """The lines to show now, each at most `width` columns wide."""
    inner = max(11, min(width, WIDEST) - 4)  # the longest word about a state is `reconnecting`
    numbers = view.numbers
    lines = [brush(fit(view.title, inner), BOLD)] if view.title else []
    if view.stream_id:
        simulated = " · simulated" if view.simulated else ""
        lines.append(brush(fit(f"stream {view.stream_id}{simulated}", inner), DIM))
    lines.append(_state_line(view, inner, brush))
    if view.why and view.state == "reconnecting":
        lines.append(brush(fit(view.why, inner), YELLOW))
    if numbers.frames:
        lines += _sound(view, inner, brush)
        lines += [fit(text, inner) for text in flow(rates(numbers), inner)]
    lines += [brush(fit(text, inner), DIM) for text in flow(facts(numbers), inner)]
    return ["", *(f"  {line}" for line in lines), ""]


def _sound(view: View, width: int, brush: Brush) -> list[str]:
    """How far it is, with the sound itself where that is measured, and how loud it is just now."""
    numbers, whole = view.numbers, view.state == "completed"
    if not view.peaks:
        return [bar(numbers.seconds, numbers.behind, width, brush, whole=whole)]
    lines = wave(view.peaks, numbers.seconds, numbers.behind, width, brush, whole=whole)
    if view.loudness is not None and view.state in ("receiving", "reconnecting"):
        lines += meters(view.loudness.rms, view.loudness.peak, len(clock(numbers.seconds)) + 1, width, brush)
    return lines


def _scale(heard: float, behind: float, *, whole: bool) -> float:
    return heard if whole else next((scale for scale in SCALES if scale >= heard + behind), heard + behind)


def wave(
    peaks: Sequence[float], heard: float, behind: float, width: int, brush: Brush, *, whole: bool = False
) -> list[str]:
    """`bar` with the song's peaks in place of a line: two rows where there is room, one where there is little."""
    end = _scale(heard, behind, whole=whole)
    left, right = clock(heard), clock(end)
    cells = width - len(left) - len(right) - 2
    if cells < 16:
        return [bar(heard, behind, width, brush, whole=whole)]
    done = cells if whole else int(cells * heard / end)
    known = 0 if whole else int(cells * (heard + behind) / end) - done
    rows = landscape(peaks, PEAKS_A_SECOND, end, cells, 2 if width >= TWO_ROWS else 1)
    high = [f"{' ' * (len(left) + 1)}{brush(''.join(row[:done]).rstrip(), CYAN)}" for row in rows[:-1]]
    rest = brush("╍" * known, CYAN, DIM) + brush("─" * (cells - done - known), DIM)
    return [*high, f"{brush(left, BOLD)} {brush(''.join(rows[-1][:done]), CYAN)}{rest} {brush(right, DIM)}"]


def bar(heard: float, behind: float, width: int, brush: Brush, *, whole: bool = False) -> str:
    """Time heard on a scale that grows with the song; what exists beyond it is drawn faintly."""
    end = _scale(heard, behind, whole=whole)
    left, right = clock(heard), clock(end)
    cells = width - len(left) - len(right) - 2
    if cells < 4:
        return brush(fit(left, width), BOLD)
    done = cells if whole else int(cells * heard / end)
    known = 0 if whole else int(cells * (heard + behind) / end) - done
    track = brush("━" * done, CYAN) + brush("╍" * known, CYAN, DIM) + brush("─" * (cells - done - known), DIM)
    return f"{brush(left, BOLD)} {track} {brush(right, DIM)}"


def rates(numbers: Statistics) -> list[str]:
    """How fast it comes: bit rate, times real time, and how far behind the generation."""
    parts = []
    if numbers.bit_rate is not None:
        parts.append(f"{numbers.bit_rate / 1000:.0f} kbit/s")
    if numbers.speed is not None:
        parts.append(f"{numbers.speed:.2g}× real time" if numbers.speed < 10 else f"{numbers.speed:.0f}× real time")
    if numbers.behind >= 0.5:
        parts.append(f"{numbers.behind:.1f} s behind")
    if numbers.listeners is not None:
        parts.append(_count(numbers.listeners, "listener"))
    return parts


def facts(numbers: Statistics) -> list[str]:
    """What has happened so far."""
    parts = []
    if numbers.first_audio is not None:
        parts.append(f"first sound after {numbers.first_audio:.2f} s")
    if numbers.bytes:
        parts.append(size(numbers.bytes))
    if numbers.reconnects:
        parts.append(_count(numbers.reconnects, "reconnect"))
    if numbers.gaps:
        parts.append(_count(numbers.gaps, "gap"))
    return parts


def plain(view: View) -> str:
    """The same as one line, for logs and pipes."""
    name = f"{view.stream_id}: " if view.stream_id else ""
    numbers = view.numbers
    if not numbers.frames:
        return f"{name}{_words(view)}, {view.waited:.0f} s"
    return ", ".join([f"{name}{_words(view)}", f"{clock(numbers.seconds)} heard", *rates(numbers), size(numbers.bytes)])


def _state_line(view: View, width: int, brush: Brush) -> str:
    words = _words(view)
    if view.state == "completed":
        return brush("✓", GREEN) + " " + words
    if view.state == "receiving":
        return brush("●", GREEN) + " " + words
    if view.state == "ended":
        return brush("■", DIM) + " " + words
    turn = SPINNER[int(view.waited * 8) % len(SPINNER)]
    return brush(turn, YELLOW) + " " + fit(f"{words} · {view.waited:.0f} s", width - 2)


def _words(view: View) -> str:
    if view.state == "waiting" and view.place is not None:
        position, seconds = view.place
        about = "" if seconds is None else f", {max(1, round(seconds))} s to go"
        return f"number {position} in the queue{about}"
    return "waiting for the first sound" if view.state == "waiting" else view.state


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


class Canvas:
    """Where the picture stands on the terminal: makes the text that replaces the last picture by the next."""

    def __init__(self) -> None:
        self._shown: Sequence[str] = ()
        self._begun = False

    def redraw(self, lines: Sequence[str], width: int) -> str:
        """The text to write. A terminal that was made narrower has wrapped the old lines: they take more rows now."""
        rows = sum(max(1, -(-columns(_STYLE.sub("", line)) // width)) for line in self._shown)
        back = "" if self._begun else HIDE_CURSOR
        back += f"\x1b[{rows}A\r" if rows else ""
        self._shown, self._begun = lines, True
        return back + "".join(f"{line}{_CLEAR_LINE}\n" for line in lines) + _CLEAR_BELOW

    def leave(self) -> str:
        """The text to write at the end: the picture stays, the cursor comes back."""
        begun, self._begun, self._shown = self._begun, False, ()
        return SHOW_CURSOR if begun else ""
