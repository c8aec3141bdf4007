"""A real Prometheus of a test, with the files of deploy/observability made faster; and what they and Grafana ask of it.

Invariant: it is gone when the context is left; only what stands in `faster` differs from what an operator runs.
It must not know which gateways there are, nor what is amiss with them.
"""

import asyncio
import json
import re
import socket
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.house.programs import Program
from tests.house.tree import ROOT

HERE = ROOT / "deploy/observability"
DASHBOARD = HERE / "grafana/dashboards/wavegate.json"
RULES = (HERE / "rules/recording.yml", HERE / "rules/alerts.yml")
INTERVAL = "200ms"
SECONDS = 20.0

_WINDOW = re.compile(r"\[(\d+[smhd])\]")
_FOR = re.compile(r"^(\s+for: )\d+[smh]$", re.MULTILINE)
_COMPARED = re.compile(r"(>=|<=|==|!=|>|<)(?= )(?! bool)")


def faster(text: str, windows: dict[str, str]) -> str:
    """Rules or a query for a Prometheus that looks every 200 ms and not every 15 s: each window of time is as short as
    `windows` says, and what an alert waits `for` is half a second. Thresholds stay as they are.
    """
    text = _WINDOW.sub(lambda match: f"[{windows[match[1]]}]", text)
    return _FOR.sub(r"\g<1>500ms", text)


def judged(expr: str) -> str:
    """What tells 0 where an alert would tell nothing: so it is seen to have data while nothing is amiss."""
    return _COMPARED.sub(r"\1 bool", expr)


def rules() -> Iterator[dict[str, Any]]:
    """Every rule, as it is written."""
    for path in RULES:
        for group in yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]:
            yield from group["rules"]


def alerts() -> dict[str, dict[str, Any]]:
    """The alerts by their names."""
    return {rule["alert"]: rule for rule in rules() if "alert" in rule}


@dataclass(frozen=True)
class Asked:
    """A query of the dashboard: of which panel, and how its series are called there."""

    panel: str
    expr: str
    legend: str = ""


def panels() -> list[dict[str, Any]]:
    """Those of the dashboard, without the titles of rows."""
    found: list[dict[str, Any]] = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in found if panel["type"] != "row"]


def chosen(expr: str, interval: str) -> str:
    """What Grafana asks for when everything is chosen: `interval` is its $__rate_interval."""
    return expr.replace("$job", ".*").replace("$instance", ".*").replace("$__rate_interval", interval)


def queries(interval: str) -> list[Asked]:
    """All that the dashboard asks; windows that it writes itself stay as they are."""
    return [
        Asked(panel["title"], chosen(target["expr"], interval), target["legendFormat"])
        for panel in panels()
        for target in panel["targets"]
    ]


class Prometheus:
    """`url` is its address."""

    def __init__(self, url: str, targets: Path, http: aiohttp.ClientSession) -> None:
        self.url = url
        self._targets = targets
        self._http = http

    def watch(self, addresses: Mapping[str, str], names: Mapping[str, str] | None = None) -> None:
        """The internal ports that are asked from now on, as URLs, each with its job; an instance may have a name."""
        groups = []
        for address, job in addresses.items():
            host = address.removeprefix("http://")
            labels = {"job": job, "instance": (names or {}).get(address, host)}
            groups.append({"targets": [host], "labels": labels})
        # At once and whole, for it reads the file whenever it changes.
        new = self._targets.with_suffix(".new")
        new.write_text(json.dumps(groups), encoding="utf-8")
        new.replace(self._targets)

    async def ask(self, path: str, **parameters: str | float) -> Any:
        """What its API answers."""
        given = {name: str(value) for name, value in parameters.items()}
        async with self._http.get(f"{self.url}/api/v1/{path}", params=given) as response:
            answer = await response.json()
        assert answer["status"] == "success", answer
        return answer["data"]

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """The series as of now, each with `metric` and `value`."""
        found: list[dict[str, Any]] = (await self.ask("query", query=expr))["result"]
        return found

    async def range(self, expr: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The series over a time, each with `metric` and `values`."""
        found: list[dict[str, Any]] = (await self.ask("query_range", query=expr, start=start, end=end, step=step))[
            "result"
        ]
        return found

    async def firing(self) -> list[dict[str, Any]]:
        """The alerts that fire now, with labels and annotations."""
        return [alert for alert in (await self.ask("alerts"))["alerts"] if alert["state"] == "firing"]


@asynccontextmanager
async def prometheus(
    program: str, folder: Path, windows: dict[str, str] | None, *, interval: str = INTERVAL
) -> AsyncIterator[Prometheus]:
    """One that keeps what it sees in `folder` and watches nothing yet; `program` is what `need("prometheus")` gives.

    With `windows` it has the rules, made faster by them; with an empty one as they are. Without, it only tells what
    another has seen and kept there.
    """
    for part in ("targets", "rules"):
        (folder / part).mkdir(exist_ok=True)
    for path in RULES:
        text = path.read_text(encoding="utf-8")
        (folder / "rules" / path.name).write_text(faster(text, windows) if windows else text, encoding="utf-8")
    config = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": interval, "scrape_timeout": interval, "evaluation_interval": interval}
    config["scrape_configs"] = [job for job in config["scrape_configs"] if job["job_name"] == "wavegate"]
    if windows is None:
        del config["rule_files"], config["scrape_configs"]
    (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
    targets = folder / "targets/gateways.yml"
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    process = await Program.start(
        program,
        f"--config.file={folder / 'prometheus.yml'}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--log.level=warn",
    )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(SECONDS)) as http:
            found = Prometheus(f"http://127.0.0.1:{port}", targets, http)
            await _ready(http, found.url, process)
            yield found
    finally:
        await process.stop()


async def _ready(http: aiohttp.ClientSession, url: str, process: Program) -> None:
    async with asyncio.timeout(SECONDS):
        while True:
            try:
                async with http.get(f"{url}/-/ready") as response:
                    if response.status == 200:
                        return
            except aiohttp.ClientError:
                assert not process.said, process.said
            # It tells nobody when it is ready but by answering.
            await asyncio.sleep(0.05)
