"""The files of deploy/observability without anything running: rules, runbook and dashboard, held against each other.

Invariant under test: every alert is tested, explained and to be seen on the dashboard; whatever is asked for is in the
catalogue of metrics, with that label and that value; Grafana's JSON is what its source makes, no panel lies on another.
It looks at the files and asks promtool; what real gateways make of them is tested in test_prometheus.py.
"""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
import yaml

from gateway.log.names import EVENTS
from metrics.catalogue import CATALOGUE, Row
from tests.support.prometheus import DASHBOARD, HERE, alerts, chosen, panels, queries, rules

Need = Callable[[str], str]

SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
ROWS = {f"{row.full}{suffix}": row for row in CATALOGUE for suffix in SUFFIXES[row.kind]}
ALERT_LABELS = {"alertname", "alertstate", "severity"}
# What Prometheus itself knows; those of ours are in the catalogue, or are recorded.
ITS_OWN = {"up": set[str](), "ALERTS": ALERT_LABELS}
MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
GROUPING = re.compile(r"\b(?:by|on|group_left|without) \(([^)]*)\)")


def promtool(need: Need, *arguments: str | Path) -> str:
    """What it says when it is content."""
    done = subprocess.run([need("promtool"), *arguments], capture_output=True, text=True, timeout=50, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(expr: str) -> list[tuple[str, str]]:
    """The metrics of a query, each with what its braces say."""
    bare = GROUPING.sub(" ", re.sub(r"\[[^]]+\]", " ", expr))
    found = re.findall(r"([a-zA-Z_:][\w:]*)\s*(\{[^}]*\})?", re.sub(r'"[^"]*"', lambda m: m[0].replace("{", ""), bare))
    return [
        (name, braces) for name, braces in found if braces or name.startswith(("wavegate", "process_", "job", "up"))
    ]


def known(name: str, recorded: dict[str, str]) -> set[str] | None:
    """The labels that a metric has beside job and instance; None if there is no such metric."""
    if name in ITS_OWN:
        return ITS_OWN[name]
    if name in recorded:
        return set().union(*(known(metric, recorded) or set() for metric, _ in asked(recorded[name])))
    if name not in ROWS:
        return None
    return set(ROWS[name].labels) | ({"le"} if name.endswith("_bucket") else set())


def complaints(expr: str, recorded: dict[str, str]) -> list[str]:
    """What a query asks for and nobody gives."""
    found: list[str] = []
    everything = {"job", "instance"}
    for name, braces in asked(expr):
        labels = known(name, recorded)
        if labels is None:
            found.append(f"no metric {name}")
            continue
        everything |= labels
        for label, how, value in MATCHER.findall(braces):
            if label not in labels | {"job", "instance"}:
                found.append(f"{name} has no label {label}")
            elif name in ROWS:
                found += [f"{name}: {label} is never {said}" for said in _strangers(ROWS[name], label, how, value)]
    for grouping in GROUPING.findall(expr):
        found += [f"nothing has a label {label}" for label in re.findall(r"\w+", grouping) if label not in everything]
    return found


def _strangers(row: Row, label: str, how: str, value: str) -> list[str]:
    """The values that are asked for and that the label never has."""
    if label == "le":
        edges = {str(float(edge)) for edge in row.buckets} | {"+Inf"}
        return [] if value in edges else [value]
    values = next((by.values for by in row.by if by.name == label), ())
    wanted = value.split("|") if how in ("=~", "!~") else [value]
    return [said for said in wanted if values and said not in values]


RECORDED = {rule["record"]: rule["expr"] for rule in rules() if "record" in rule}


def test_a_bad_query_is_complained_of() -> None:
    assert complaints("sum by (job) (rate(wavegate_gaps_total[5m]))", RECORDED) == []
    assert complaints("rate(wavegate_gasp_total[5m])", RECORDED) == ["no metric wavegate_gasp_total"]
    assert complaints('wavegate_gaps_total{tenant="a"}', RECORDED) == ["wavegate_gaps_total has no label tenant"]
    assert complaints('wavegate_gaps_total{reason=~"lag|leg"}', RECORDED) == [
        "wavegate_gaps_total: reason is never leg"
    ]
    assert complaints("sum by (tenant) (wavegate_gaps_total)", RECORDED) == ["nothing has a label tenant"]
    assert complaints('wavegate_relay_latency_seconds_bucket{le="3"}', RECORDED) == [
        "wavegate_relay_latency_seconds_bucket: le is never 3"
    ]


def test_rules_ask_for_what_there_is() -> None:
    assert {
        rule.get("alert", rule.get("record")): found
        for rule in rules()
        if (found := complaints(rule["expr"], RECORDED))
    } == {}


def test_the_dashboard_asks_for_what_there_is() -> None:
    assert {query.panel: found for query in queries("1m") if (found := complaints(query.expr, RECORDED))} == {}


def test_every_alert_fires_and_clears_when_played(need: Need) -> None:
    assert "SUCCESS" in promtool(need, "test", "rules", HERE / "tests.yml")
    played = (HERE / "tests.yml").read_text(encoding="utf-8")
    assert [name for name in alerts() if f'alertname="{name}"' not in played] == []


def test_prometheus_takes_the_files(need: Need, tmp_path: Path) -> None:
    """And the dashboard's queries, which are PromQL as well."""
    assert "2 rule files found" in promtool(need, "check", "config", HERE / "prometheus.yml")
    wanted = [{"record": f"query:{number}", "expr": query.expr} for number, query in enumerate(queries("1m"))]
    file = tmp_path / "queries.yml"
    file.write_text(json.dumps({"groups": [{"name": "dashboard", "rules": wanted}]}), encoding="utf-8")
    assert f"{len(wanted)} rules found" in promtool(need, "check", "rules", file)
    for targets in (HERE / "targets/gateways.yml", HERE / "targets.compose.yml"):
        (group,) = yaml.safe_load(targets.read_text(encoding="utf-8"))
        assert all(re.fullmatch(r"[\w.-]+:9464", target) for target in group["targets"])


def test_every_alert_has_its_section_and_every_section_its_alert() -> None:
    sections = re.findall(r"^### (\w+)$", (HERE / "RUNBOOK.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert sections == list(alerts())
    for name, rule in alerts().items():
        assert rule["annotations"].keys() == {"summary", "description", "runbook"}, name
        assert rule["annotations"]["runbook"] == f"RUNBOOK.md#{name.lower()}"
        assert rule["labels"]["severity"] in ("critical", "warning"), name


def test_the_runbook_leads_to_what_there_is() -> None:
    runbook = (HERE / "RUNBOOK.md").read_text(encoding="utf-8")
    anchors = {name.lower() for name in alerts()}
    assert {anchor for anchor in re.findall(r"\]\(#(\w+)\)", runbook) if anchor not in anchors} == set()
    titles = {panel["title"] for panel in panels()}
    named = set(re.findall(r'"([A-Z][^":]+)"', runbook))
    assert named - titles == set(), "panels that the dashboard does not have"


def test_the_runbook_knows_the_log() -> None:
    runbook = (HERE / "RUNBOOK.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`((?:stream|codec|worker|ledger|redis|config)\.\w+)`", runbook))
    assert named
    assert named - EVENTS.keys() == set()


def test_every_alert_is_named_on_the_dashboard() -> None:
    named = re.findall(r"\bWavegate[A-Z]\w+", " ".join(panel["description"] for panel in panels()))
    assert set(named) == set(alerts())


def test_the_json_is_what_its_source_makes() -> None:
    made = subprocess.run([sys.executable, HERE / "dashboard.py"], capture_output=True, timeout=30, check=True).stdout
    assert made == DASHBOARD.read_bytes(), "python dashboard.py > grafana/dashboards/wavegate.json"


def test_no_panel_lies_on_another() -> None:
    every = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    assert len({panel["id"] for panel in every}) == len(every)
    places = {panel["id"]: panel["gridPos"] for panel in every}
    assert all(place["x"] >= 0 and place["x"] + place["w"] <= 24 and place["h"] > 0 for place in places.values())
    for (one, a), (other, b) in combinations(places.items(), 2):
        beside = a["x"] + a["w"] <= b["x"] or b["x"] + b["w"] <= a["x"]
        below = a["y"] + a["h"] <= b["y"] or b["y"] + b["h"] <= a["y"]
        assert beside or below, f"{one} and {other}"


def test_panels_say_what_they_show() -> None:
    document = json.loads(DASHBOARD.read_text(encoding="utf-8"))
    variables = {variable["name"] for variable in document["templating"]["list"]}
    for panel in panels():
        assert panel["description"].endswith("."), panel["title"]
        assert panel["fieldConfig"]["defaults"]["unit"], panel["title"]
        for target in panel["targets"]:
            assert set(re.findall(r"\$\{?(\w+)", json.dumps(target))) <= {*variables, "__rate_interval"}
            legend = set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"]))
            given = set().union(*(known(name, RECORDED) or set() for name, _ in asked(chosen(target["expr"], "1m"))))
            assert legend <= given | {"instance", "job"}, panel["title"]
        refs = [target["refId"] for target in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]


@pytest.mark.parametrize("path", sorted((HERE / "grafana/provisioning").rglob("*.yml")), ids=lambda path: path.name)
def test_grafana_is_provisioned(path: Path) -> None:
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert document["apiVersion"] == 1
    if "datasources" in document:
        (source,) = document["datasources"]
        assert (source["type"], source["uid"], source["isDefault"]) == ("prometheus", "prometheus", True)
        given = yaml.safe_load((HERE / "prometheus.yml").read_text(encoding="utf-8"))
        assert source["jsonData"]["timeInterval"] == given["global"]["scrape_interval"]
    else:
        (provider,) = document["providers"]
        assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
