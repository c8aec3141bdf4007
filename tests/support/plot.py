"""Lines, areas and bars over time as SVG, in the manner of Grafana's panels.

Invariant: pure; a series is (time, value) pairs, of which NaN is a hole, and all of it is drawn inside of its size.
It must not know Prometheus, nor what is shown.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from typing import Any

Points = Sequence[tuple[float, float]]

LEFT, RIGHT, TOP, BOTTOM = 58, 10, 8, 22
PALETTE = ("#73bf69", "#f2cc0c", "#8ab8ff", "#ff780a", "#f2495c", "#5794f2", "#b877d9", "#705da0", "#37872d", "#fade2a")
NAMED = {
    "green": "#73bf69",
    "blue": "#5794f2",
    "purple": "#b877d9",
    "orange": "#ff9830",
    "red": "#f2495c",
    "text": "#9fa7b3",
    "transparent": "none",
}


def tag(name: str, text: str = "", /, **attributes: Any) -> str:
    """An element of SVG; a tenth of a pixel is exact enough."""
    told = [
        f'{key}="{value:.2f}"' if isinstance(value, float) else f'{key}="{value}"' for key, value in attributes.items()
    ]
    return f"<{name} {' '.join(told)}>{escape(text)}</{name}>"


@dataclass(frozen=True)
class Line:
    """One series as it is called and coloured."""

    name: str
    colour: str
    points: Points


def figure(value: float, unit: str, decimals: int | None = None) -> str:
    """A value as people read it."""
    if math.isnan(value):
        return "–"
    if unit == "percentunit":
        return f"{100 * value:.{decimals if decimals is not None else 0 if value >= 0.1 or value == 0 else 1}f} %"
    if unit == "s":
        return _seconds(value)
    if unit in ("bytes", "Bps"):
        base, names = (1024, ("B", "KiB", "MiB", "GiB")) if unit == "bytes" else (1000, ("B/s", "kB/s", "MB/s", "GB/s"))
        power = min(int(math.log(abs(value), base)) if abs(value) >= 1 else 0, 3)
        return f"{value / base**power:.3g} {names[power]}"
    if decimals is not None:
        return f"{value:.{decimals}f}"
    return f"{value / 1000:.3g} K" if abs(value) >= 10000 else f"{value:.3g}" if abs(value) < 100 else f"{value:.0f}"


def _seconds(value: float) -> str:
    for size, name in ((86400.0, "days"), (3600.0, "h"), (60.0, "min"), (1.0, "s"), (1e-3, "ms")):
        if abs(value) >= size:
            return f"{value / size:.3g} {name}"
    return f"{value * 1e6:.3g} µs" if value else "0 s"


def steps(low: float, high: float, log: bool) -> list[float]:
    """Round values from the one to the other."""
    if log:
        return [10.0**power for power in range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)]
    rough = (high - low) / 4
    size = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * size for factor in (1, 2, 2.5, 5, 10) if factor * size >= rough)
    return [low + number * step for number in range(math.ceil((high - low) / step - 1e-9) + 1)]


@dataclass(frozen=True)
class Chart:
    """`begin` and `end` are the time axis, in seconds since the epoch; `threshold` is a line with its colour."""

    width: int
    height: int
    begin: float
    end: float
    unit: str
    draw: str = "lines"
    threshold: tuple[float, str] | None = None
    marks: Sequence[tuple[float, float]] = ()

    def x(self, at: float) -> float:
        return LEFT + (self.width - LEFT - RIGHT) * (at - self.begin) / (self.end - self.begin)

    def svg(self, lines: Sequence[Line]) -> str:
        """The whole drawing."""
        stacked = self.draw in ("stacked", "share")
        sums = (
            list(_stack(lines, share=self.draw == "share"))
            if stacked
            else [(line, line.points, None) for line in lines]
        )
        values = [value for _, points, _ in sums for _, value in points if not math.isnan(value)]
        log = self.draw == "log"
        if log:
            values = [value for value in values if value > 0] or [0.001, 0.1]
            low, high = min(values), max(values)
            ticks = steps(low, high * 1.0001, log=True)
            if len(ticks) < 2:
                ticks.append(ticks[0] * 10)
        else:
            ticks = (
                [0, 0.25, 0.5, 0.75, 1.0]
                if self.draw == "share"
                else steps(0, max(values, default=1.0) * 1.05 or 1.0, log=False)
            )
        drawn = [*self._axes(ticks, log), *self._bands(sums, ticks, log), *self._beside(ticks, log)]
        return f'<svg width="{self.width}" height="{self.height}">{"".join(drawn)}</svg>'

    def bars(self, lines: Sequence[Line], words: dict[float, tuple[str, str]]) -> str:
        """A bar a series, coloured by what its value is called."""
        drawn = list(self._times())
        tall = (self.height - TOP - BOTTOM) / max(1, len(lines))
        for row, line in enumerate(lines):
            top = TOP + row * tall + tall * 0.15
            drawn.append(f'<text x="4" y="{top + tall * 0.42:.1f}" class="tick">{escape(line.name)}</text>')
            for begin, end, value in _stretches(line.points, self.end):
                colour = NAMED[words.get(value, ("", "text"))[1]]
                x, wide = self.x(begin), self.x(end) - self.x(begin)
                drawn.append(
                    f'<rect x="{x:.1f}" y="{top:.1f}" width="{wide:.1f}" height="{tall * 0.7:.1f}" fill="{colour}" '
                    'opacity=".85"/>'
                )
        return f'<svg width="{self.width}" height="{self.height}">{"".join(drawn)}</svg>'

    def _y(self, value: float, ticks: Sequence[float], log: bool) -> float:
        low, high = ticks[0], ticks[-1]
        share = (
            (math.log10(max(value, low)) - math.log10(low)) / (math.log10(high) - math.log10(low))
            if log
            else (value - low) / (high - low)
        )
        return TOP + (self.height - TOP - BOTTOM) * (1 - min(1.0, share))

    def _axes(self, ticks: Sequence[float], log: bool) -> Iterator[str]:
        for tick in ticks:
            y = self._y(tick, ticks, log)
            yield tag("line", x1=LEFT, x2=self.width - RIGHT, y1=y, y2=y, **{"class": "grid"})
            told = figure(tick, self.unit)
            yield tag("text", told, x=LEFT - 6, y=y + 4, **{"class": "tick", "text-anchor": "end"})
        yield from self._times()

    def _times(self) -> Iterator[str]:
        span = self.end - self.begin
        step = next(size for size in (60, 120, 300, 600, 1800, 3600, 7200) if span / size <= 8)
        at = math.ceil(self.begin / step) * step
        while at <= self.end:
            x, told = self.x(at), f"{datetime.fromtimestamp(at, UTC):%H:%M}"
            yield f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{self.height - BOTTOM}" class="grid"/>'
            yield f'<text x="{x:.1f}" y="{self.height - 6}" class="tick" text-anchor="middle">{told}</text>'
            at += step

    def _bands(
        self, sums: Sequence[tuple[Line, Points, Points | None]], ticks: Sequence[float], log: bool
    ) -> Iterator[str]:
        floor = self.height - BOTTOM
        for line, points, below in sums:
            for first, last in _pieces(points):
                upper = [f"{self.x(at):.1f},{self._y(value, ticks, log):.1f}" for at, value in points[first:last]]
                if below is None:
                    lower = [f"{self.x(points[last - 1][0]):.1f},{floor}", f"{self.x(points[first][0]):.1f},{floor}"]
                else:
                    lower = [
                        f"{self.x(at):.1f},{self._y(value, ticks, log):.1f}"
                        for at, value in reversed(below[first:last])
                    ]
                opacity = 0.42 if below is not None else 0.0 if log else 0.08
                yield tag("polygon", points=" ".join([*upper, *lower]), fill=line.colour, opacity=opacity)
                drawn = {"stroke": line.colour, "stroke-width": 1.6, "stroke-linejoin": "round"}
                yield tag("polyline", points=" ".join(upper), fill="none", **drawn)

    def _beside(self, ticks: Sequence[float], log: bool) -> Iterator[str]:
        if self.threshold is not None and self.threshold[0] <= ticks[-1]:
            y = self._y(self.threshold[0], ticks, log)
            dashes = {"stroke": NAMED[self.threshold[1]], "stroke-dasharray": "6 4", "stroke-width": 1.2}
            yield tag("line", x1=LEFT, x2=self.width - RIGHT, y1=y, y2=y, **dashes)
        for begin, end in self.marks:
            wide = max(2.0, self.x(end) - self.x(begin))
            yield tag("rect", x=self.x(begin), y=self.height - BOTTOM, width=wide, height=3, fill=NAMED["red"])


def sparkline(points: Points, width: int, height: int, colour: str) -> str:
    """The line below a figure."""
    known = [(at, value) for at, value in points if not math.isnan(value)]
    if len(known) < 2:
        return ""
    begin, end, high = known[0][0], known[-1][0], max(value for _, value in known) or 1.0
    path = " ".join(
        f"{width * (at - begin) / (end - begin):.1f},{height - 2 - (height - 4) * value / high:.1f}"
        for at, value in known
    )
    area = tag("polygon", points=f"0,{height} {path} {width},{height}", fill=colour, opacity=0.18)
    line = tag("polyline", points=path, fill="none", stroke=colour, **{"stroke-width": 1.4})
    return f'<svg width="{width}" height="{height}" class="spark">{area}{line}</svg>'


def _stretches(points: Points, end: float) -> Iterator[tuple[float, float, float]]:
    """From when to when it had which value; where it had none there is nothing."""
    begin, held = 0.0, math.nan
    for at, value in [*points, (end, math.nan)]:
        if value != held:
            if not math.isnan(held):
                yield begin, at, held
            begin, held = at, value


def _pieces(points: Points) -> Iterator[tuple[int, int]]:
    """Where it has values: from and to."""
    first = None
    for index, (_, value) in enumerate([*points, (0.0, math.nan)]):
        if math.isnan(value):
            if first is not None and index - first > 1:
                yield first, index
            first = None
        elif first is None:
            first = index


def _stack(lines: Sequence[Line], *, share: bool) -> Iterator[tuple[Line, Points, Points]]:
    """Each on what is below it."""
    times = sorted({at for line in lines for at, _ in line.points})
    found = [{at: value for at, value in line.points if not math.isnan(value)} for line in lines]
    whole = {at: sum(values.get(at, 0.0) for values in found) for at in times}
    below = dict.fromkeys(times, 0.0)
    for line, values in zip(lines, found, strict=True):
        above = {at: below[at] + values.get(at, 0.0) / ((whole[at] or math.nan) if share else 1.0) for at in times}
        yield line, list(above.items()), list(below.items())
        below = above
