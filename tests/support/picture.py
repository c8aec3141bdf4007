"""A picture of the dashboard: its own panels and queries, answered by Prometheus, drawn as Grafana lays them out.

`python -m tests.support.picture FOLDER PNG [light]` draws what tests.support.evening left in FOLDER. It is no Grafana:
of what the JSON can say it knows what our dashboard uses. Invariant: nothing is drawn that no query gave.
It must not know which panels there are.
"""

import asyncio
import json
import math
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from html import escape
from pathlib import Path
from typing import Any

from tests.support.evening import needed
from tests.support.plot import NAMED, PALETTE, Chart, Line, figure, sparkline
from tests.support.prometheus import DASHBOARD, Prometheus, chosen, prometheus

INTERVAL = "1m"  # what Grafana makes of a scrape every 15 s
CELL, GAP, WIDTH = 38, 8, 1560
TITLE, LEGEND = 30, 24
STEP = 15.0
THEMES = {
    "dark": "--page:#111217;--panel:#181b1f;--edge:#25282e;--text:#d8d9da;--dim:#9097a1;--grid:#24272d",
    "light": "--page:#f4f5f5;--panel:#ffffff;--edge:#dfe1e5;--text:#24292e;--dim:#646c76;--grid:#ecedef",
}
STYLE = """
*{box-sizing:border-box}
body{margin:0;padding:16px;background:var(--page);color:var(--text);font:13px/1.35 "DejaVu Sans",Arial,sans-serif}
header{display:flex;align-items:baseline;gap:14px;padding:2px 4px 14px}
header b{font-size:19px} header span{color:var(--dim)}
main{position:relative} .row{position:absolute;font-size:15px;font-weight:600;padding:8px 4px}
.panel{position:absolute;background:var(--panel);border:1px solid var(--edge);border-radius:3px;overflow:hidden}
.panel h2{font-size:13px;font-weight:500;margin:0;padding:7px 10px 0;height:30px}
.tick{fill:var(--dim);font-size:11px} .grid{stroke:var(--grid);stroke-width:1}
.legend{position:absolute;bottom:5px;left:12px;right:8px;height:18px;overflow:hidden;color:var(--dim);font-size:11.5px}
.legend i{display:inline-block;width:14px;height:3px;border-radius:2px;vertical-align:middle;margin:0 5px 0 0}
.legend span{margin-right:13px;white-space:nowrap}
.big{font-size:34px;font-weight:500;text-align:center;padding-top:6px} .spark{position:absolute;bottom:0;left:0}
.cell{margin:4px 12px}
"""


def called(legend: str, labels: dict[str, str], panel: dict[str, Any]) -> str:
    """What Grafana calls a series."""
    return re.sub(r"\{\{(\w+)\}\}", lambda match: labels.get(match[1], ""), legend) or panel["title"]


def coloured(name: str, panel: dict[str, Any], number: int) -> str:
    """As the panel's overrides say, or the next of the palette."""
    for override in panel["fieldConfig"]["overrides"]:
        if re.fullmatch(override["matcher"]["options"].strip("/").removeprefix("^").removesuffix("$"), name):
            return NAMED[override["properties"][0]["value"]["fixedColor"]]
    return PALETTE[number % len(PALETTE)]


def holes(points: Sequence[tuple[float, float]], begin: float, end: float) -> list[tuple[float, float]]:
    """Where Prometheus has no value there is a hole, and not a line across."""
    values = dict(points)
    times = [begin + STEP * number for number in range(int((end - begin) / STEP) + 1)]
    return [(at, values.get(at, math.nan)) for at in times]


async def series(seen: Prometheus, panel: dict[str, Any], begin: float, end: float) -> list[Line]:
    """All that the panel draws."""
    found: list[Line] = []
    for target in panel["targets"]:
        for one in await seen.range(chosen(target["expr"], INTERVAL), begin, end, STEP):
            name = called(target["legendFormat"], one["metric"], panel)
            if panel["type"] == "table":
                name = ", ".join(one["metric"].values())
            points = holes([(float(at), float(value)) for at, value in one["values"]], begin, end)
            if any(value for _, value in points if not math.isnan(value)) or panel["type"] != "timeseries":
                found.append(Line(name, coloured(name, panel, len(found)), points))
    return found


def _key(colour: str, name: str) -> str:
    return f'<span><i style="background:{colour}"></i>{escape(name)}</span>'


class Page:
    """`begin` and `end` are the time axis."""

    def __init__(self, seen: Prometheus, begin: float, end: float, marks: Sequence[tuple[float, float]]) -> None:
        self._seen, self._begin, self._end, self._marks = seen, begin, end, marks

    async def panel(self, panel: dict[str, Any]) -> str:
        """One, in its place."""
        grid = panel["gridPos"]
        unit = WIDTH / 24
        left, top = round(grid["x"] * unit), grid["y"] * CELL
        width, height = round(grid["w"] * unit) - GAP, grid["h"] * CELL - GAP
        if panel["type"] == "row":
            return f'<div class="row" style="left:0;top:{top - 4}px">{escape(panel["title"])}</div>'
        lines = await series(self._seen, panel, self._begin, self._end)
        inside = getattr(self, "_" + panel["type"].replace("-", "_"))(panel, lines, width, height)
        place = f"left:{left}px;top:{top}px;width:{width}px;height:{height}px"
        return f'<section class="panel" style="{place}"><h2>{escape(panel["title"])}</h2>{inside}</section>'

    def _chart(self, panel: dict[str, Any], width: int, height: int) -> Chart:
        defaults = panel["fieldConfig"]["defaults"]
        custom, limits = defaults["custom"], defaults["thresholds"]["steps"]
        draw = {"normal": "stacked", "percent": "share"}.get(custom.get("stacking", {}).get("mode"), "lines")
        if custom.get("scaleDistribution", {}).get("type") == "log":
            draw = "log"
        threshold = (limits[-1]["value"], limits[-1]["color"]) if len(limits) > 1 else None
        size = (width - 2, height - TITLE - LEGEND)
        return Chart(*size, self._begin, self._end, defaults["unit"], draw, threshold, self._marks)

    def _timeseries(self, panel: dict[str, Any], lines: list[Line], width: int, height: int) -> str:
        told = "".join(_key(line.colour, line.name) for line in lines)
        return self._chart(panel, width, height).svg(lines) + f'<div class="legend">{told}</div>'

    def _stat(self, panel: dict[str, Any], lines: list[Line], width: int, height: int) -> str:
        defaults = panel["fieldConfig"]["defaults"]
        points = lines[0].points if lines else []
        value = next((value for _, value in reversed(points) if not math.isnan(value)), math.nan)
        steps = defaults["thresholds"]["steps"]
        colour = [NAMED[step["color"]] for step in steps if step["value"] is None or value >= step["value"]][-1]
        told = figure(value, defaults["unit"], defaults.get("decimals"))
        return f'<div class="big" style="color:{colour}">{told}</div>{sparkline(points, width, 44, colour)}'

    def _state_timeline(self, panel: dict[str, Any], lines: list[Line], width: int, height: int) -> str:
        words = {
            float(value): (shown["text"], shown["color"])
            for mapping in panel["fieldConfig"]["defaults"]["mappings"]
            for value, shown in mapping["options"].items()
        }
        told = "".join(
            f'<span><i style="background:{NAMED[colour]}"></i>{text}</span>' for text, colour in words.values()
        )
        return self._chart(panel, width, height).bars(lines, words) + f'<div class="legend">{told}</div>'

    def _table(self, panel: dict[str, Any], lines: list[Line], width: int, height: int) -> str:
        return "".join(f'<p class="cell">{escape(line.name)}</p>' for line in lines)


async def page(seen: Prometheus, begin: float, end: float, rows: int, theme: str) -> tuple[str, int]:
    """The first so many rows as HTML, and how high it is."""
    begin, end = (math.floor(at / STEP) * STEP for at in (begin, end))
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    firing = await seen.range(document["annotations"]["list"][0]["expr"], begin, end, STEP)
    times = sorted({float(at) for one in firing for at, _ in one["values"]})
    page = Page(seen, begin, end, [(at, at + STEP) for at in times])
    drawn, count, lowest = [], 0, 0
    for panel in document["panels"]:
        count += panel["type"] == "row"
        if count > rows:
            break
        drawn.append(await page.panel(panel))
        lowest = max(lowest, (panel["gridPos"]["y"] + panel["gridPos"]["h"]) * CELL)
    minutes = round((end - begin) / 60)
    told = f"{minutes} minutes, UTC; red below an axis: alerts fire"
    head = f"<header><b>{escape(document['title'])}</b><span>{told}</span></header>"
    body = f'<main style="height:{lowest}px">{"".join(drawn)}</main>'
    style = f"<style>:root{{{THEMES[theme]}}}{STYLE}</style>"
    return f'<!doctype html><meta charset="utf-8">{style}{head}{body}', lowest + 78


async def main(folder: Path, picture: Path, theme: str, rows: int = 2) -> None:
    times = json.loads((folder / "times.json").read_text(encoding="utf-8"))
    async with AsyncExitStack() as stack:
        seen = await stack.enter_async_context(prometheus(needed("prometheus"), folder, None))
        text, height = await page(seen, times["begin"] + 60, times["end"], rows, theme)
    file = picture.with_suffix(".html")
    await asyncio.to_thread(file.write_text, text, encoding="utf-8")
    size = f"--window-size={WIDTH + 24},{height}"
    options = ("--headless", "--no-sandbox", "--hide-scrollbars", "--disable-gpu", size, f"--screenshot={picture}")
    await asyncio.to_thread(
        subprocess.run, [needed("chromium"), *options, file.as_uri()], check=True, capture_output=True
    )


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), Path(sys.argv[2]).resolve(), (sys.argv[3:] or ["dark"])[0]))
