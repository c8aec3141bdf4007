"""Grafana's JSON of dashboard.yml: `python dashboard.py > grafana/dashboards/wavegate.json`.

What is shown stands there; here is what Grafana wants to read beside it: ids, places in its grid, variables, and how
each kind of panel is drawn. Panels stand from left to right, each row under its title.
Invariant: nothing is written but to standard output, and the same file gives the same JSON.
It must not know which metrics there are.
"""

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

SOURCE = Path(__file__).with_name("dashboard.yml")
WIDTH = 24  # columns of Grafana's grid
DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
CHOSEN = 'job=~"$job",instance=~"$instance"'

# Good news is cool, bad news is warm, whatever the panel.
COLOURS = {
    "green": "completed|ok|ready|websocket|used|at the edge",
    "blue": "left|http|settled|info|0.5 to 5 s",
    "purple": "hls|moved|cancelled|retention|debug|reserved",
    "orange": "slow|cut|skip|lag|warning|refused|retries|draining|5 to 30 s|still|late",
    "red": "failed|lost|error|critical|corrupt|died|errors|memory|further|silence|connections",
    "text": "limit|mark",
}
# Labels whose values are such words; the others are names of machines, models and people.
CLOSED = {"action", "kind", "level", "outcome", "reason", "result", "state", "transport"}


@dataclass(frozen=True)
class Panel:
    """What dashboard.yml says of one; `tells` is what it shows and what is good, `most` the end of its axis."""

    title: str
    tells: str
    unit: str
    queries: dict[str, str]
    width: int = 8
    height: int = 8
    kind: Literal["timeseries", "stat", "state-timeline", "table"] = "timeseries"
    draw: Literal["lines", "stacked", "share", "log"] = "lines"
    steps: tuple[tuple[float | None, str], ...] = ((None, "green"),)
    decimals: int | None = None
    words: dict[str, tuple[str, str]] = field(default_factory=dict)


def _lines(panel: Panel) -> tuple[dict[str, Any], dict[str, Any]]:
    stacked = panel.draw in ("stacked", "share")
    options = {
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return options, {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 40 if stacked else 8,
        "showPoints": "never",
        "spanNulls": False,
        "stacking": {"mode": {"stacked": "normal", "share": "percent"}.get(panel.draw, "none"), "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if len(panel.steps) > 1 else "off"},
        "scaleDistribution": {"type": "log", "log": 10} if panel.draw == "log" else {"type": "linear"},
    }


def _figure(panel: Panel) -> tuple[dict[str, Any], dict[str, Any]]:
    return {
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
        "colorMode": "value",
        "graphMode": "area",
        "orientation": "auto",
        "textMode": "auto",
        "justifyMode": "auto",
        "wideLayout": True,
        "showPercentChange": False,
        "percentChangeColorMode": "standard",
    }, {}


def _states(panel: Panel) -> tuple[dict[str, Any], dict[str, Any]]:
    return {
        "mergeValues": True,
        "showValue": "never",
        "rowHeight": 0.8,
        "alignValue": "left",
        "legend": {"showLegend": True, "displayMode": "list", "placement": "bottom", "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }, {"fillOpacity": 80, "lineWidth": 0}


def _table(panel: Panel) -> tuple[dict[str, Any], dict[str, Any]]:
    return {"frameIndex": 0, "showHeader": True, "cellHeight": "sm"}, {"align": "auto"}


# What each kind of panel has of its own: its options, and the custom part of its fields.
LOOKS = {"timeseries": _lines, "stat": _figure, "state-timeline": _states, "table": _table}


def _may_be(legend: str, names: str) -> bool:
    """Whether a legend is one of the names, or may become one by its label."""
    return legend.strip("{}") in CLOSED if legend.startswith("{{") else legend in names.split("|")


def draw(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    """A panel as Grafana 11 writes it."""
    mappings = [
        {"type": "value", "options": {value: {"text": text, "color": colour, "index": index}}}
        for index, (value, (text, colour)) in enumerate(panel.words.items())
    ]
    defaults: dict[str, Any] = {
        "unit": panel.unit,
        "color": {"mode": "palette-classic" if panel.kind == "timeseries" else "thresholds"},
        "thresholds": {"mode": "absolute", "steps": [{"value": value, "color": name} for value, name in panel.steps]},
        "mappings": mappings,
    }
    if panel.decimals is not None:
        defaults["decimals"] = panel.decimals
    options, defaults["custom"] = LOOKS[panel.kind](panel)
    overrides: list[dict[str, Any]] = []
    if panel.kind == "timeseries":
        if panel.draw != "log":
            defaults["min"] = 0
        overrides = [
            {
                "matcher": {"id": "byRegexp", "options": f"/^({names})$/"},
                "properties": [{"id": "color", "value": {"mode": "fixed", "fixedColor": colour}}],
            }
            for colour, names in COLOURS.items()
            if any(_may_be(legend, names) for legend in panel.queries)
        ]
    table = panel.kind == "table"
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.tells,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "datasource": DATASOURCE,
        "targets": [
            {
                "refId": chr(ord("A") + index),
                "datasource": DATASOURCE,
                "expr": expr.replace("$s", CHOSEN).replace("$r", "$__rate_interval"),
                "legendFormat": legend,
                "editorMode": "code",
                "range": not table,
                "instant": table,
                "format": "table" if table else "time_series",
            }
            for index, (legend, expr) in enumerate(panel.queries.items())
        ],
        "fieldConfig": {"defaults": defaults, "overrides": overrides},
        "options": options,
    }


def lay_out(rows: dict[str, list[Panel]]) -> list[dict[str, Any]]:
    """Panels from left to right, a new line where one does not fit; each row under its title, the first without one."""
    panels: list[dict[str, Any]] = []
    y = 0
    for title, row in rows.items():
        if title:
            grid = {"x": 0, "y": y, "w": WIDTH, "h": 1}
            row_panel = {"id": len(panels) + 1, "type": "row", "title": title, "collapsed": False, "panels": []}
            panels.append({**row_panel, "gridPos": grid})
            y += 1
        x = tallest = 0
        for panel in row:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            panels.append(draw(panel, len(panels) + 1, x, y))
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest
    return panels


def variable(name: str, label: str, query: str) -> dict[str, Any]:
    """One or more of the values that a label has."""
    return {
        "name": name,
        "label": label,
        "type": "query",
        "datasource": DATASOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": ["All"], "value": ["$__all"]},
        "options": [],
    }


def annotation(name: str, colour: str, expr: str, title: str, text: str) -> dict[str, Any]:
    """Marks on every panel's time axis."""
    return {
        "name": name,
        "enable": True,
        "iconColor": colour,
        "datasource": DATASOURCE,
        "expr": expr.replace("$s", CHOSEN).replace("$r", "$__rate_interval"),
        "titleFormat": title,
        "textFormat": text,
        "step": "60s",
        "useValueForTime": False,
    }


def dashboard(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """The whole document, of what dashboard.yml says."""
    chosen = {
        "name": "datasource",
        "label": "Data source",
        "type": "datasource",
        "query": "prometheus",
        "refresh": 1,
        "multi": False,
        "includeAll": False,
        "options": [],
    }
    firing, started = (
        'ALERTS{alertstate="firing",alertname=~"Wavegate.*"}',
        "changes(process_start_time_seconds{$s}[1m])",
    )
    return {
        "uid": "wavegate",
        "title": "Wavegate",
        "description": "What listeners hear, and why. Alerts and what to do about them: RUNBOOK.md.",
        "tags": ["wavegate", "audio"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,  # one cursor on all panels
        "time": {"from": "now-1h", "to": "now"},
        "timepicker": {},
        "timezone": "browser",
        "refresh": "30s",
        "links": [],
        "templating": {
            "list": [
                chosen,
                variable("job", "Job", "label_values(wavegate_build_info, job)"),
                variable("instance", "Gateway", 'label_values(wavegate_build_info{job=~"$job"}, instance)'),
            ]
        },
        "annotations": {
            "list": [
                annotation("Alerts", "red", firing, "{{alertname}}", "{{severity}}"),
                annotation("Starts", "blue", f"{started.replace('$s', CHOSEN)} > 0", "started", "{{instance}}"),
            ]
        },
        "panels": lay_out({row["row"]: [Panel(**panel) for panel in row["panels"]] for row in rows}),
    }


if __name__ == "__main__":
    with SOURCE.open(encoding="utf-8") as source:
        json.dump(dashboard(yaml.safe_load(source)), sys.stdout, indent=2, ensure_ascii=False)
    sys.stdout.write("\n")
