"""Several processes' metrics as those of one: pages are read, added up by the catalogue, and told again as families.

Invariant: pure, and exact: what a page says is what is added, and the order of the pages does not matter. Only what the
catalogue has is taken, so the number of series stays bounded. prometheus_client's own way for several processes, files
that they share, was left: it wants its directory in the environment before it is imported, each worker ever started
leaves a file there, and its gauges need a mode besides. It must not know where pages come from.
"""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from metrics.catalogue import CATALOGUE, PREFIX, Row

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels by their names."""
Snapshot = dict[Sample, float]

_SUFFIXES = {
    "counter": ("_total", "_created"),
    "gauge": ("",),
    "histogram": ("_bucket", "_count", "_sum", "_created"),
}
_ROWS = {f"{PREFIX}_{row.name}{suffix}": (row, suffix) for row in CATALOGUE for suffix in _SUFFIXES[row.kind]}


def read(page: str, tenant: Callable[[str], str] = lambda name: name) -> Snapshot:
    """What a page in the text format says; `tenant` gives the name under which one counts. Raises ValueError."""
    found: Snapshot = {}
    for family in text_string_to_metric_families(page):
        for sample in family.samples:
            if sample.name in _ROWS:
                labels = {name: tenant(value) if name == "tenant" else value for name, value in sample.labels.items()}
                key = sample.name, tuple(sorted(labels.items()))
                found[key] = _join(key, found[key], sample.value) if key in found else sample.value
    return found


def merge(snapshots: Iterable[Snapshot]) -> Snapshot:
    """All of them as one."""
    merged: Snapshot = {}
    for snapshot in snapshots:
        for key, value in snapshot.items():
            merged[key] = _join(key, merged[key], value) if key in merged else value
    return merged


def lasting(snapshot: Snapshot) -> Snapshot:
    """What stays true of a process that is gone: what it has counted, and not how much there was of anything."""
    return {key: value for key, value in snapshot.items() if _ROWS[key[0]][0].kind != "gauge"}


def families(snapshot: Snapshot) -> Iterator[Metric]:
    """Every row of the catalogue, with its samples in the order of the exposition format."""
    found: dict[str, list[Sample]] = {row.name: [] for row in CATALOGUE}
    for key in snapshot:
        found[_ROWS[key[0]][0].name].append(key)
    for row in CATALOGUE:
        metric = Metric(f"{PREFIX}_{row.name}", row.help, row.kind)
        for name, labels in sorted(found[row.name], key=_place):
            # The labels in the catalogue's order, as a single process tells them.
            ordered = {label: dict(labels)[label] for label in (*row.labels, "le") if label in dict(labels)}
            metric.add_sample(name, ordered, snapshot[name, labels])
        yield metric


def _join(key: Sample, one: float, other: float) -> float:
    row, suffix = _ROWS[key[0]]
    if suffix == "_created":
        return min(one, other)
    return max(one, other) if _largest(row, key) else one + other


def _largest(row: Row, key: Sample) -> bool:
    return row.merge == "max" or (row.merge == "used_of_limit" and ("state", "limit") in key[1])


def _place(key: Sample) -> tuple[tuple[tuple[str, str], ...], int, float]:
    """A histogram's buckets stand together, and rise."""
    name, labels = key
    row, suffix = _ROWS[name]
    others = tuple(pair for pair in labels if pair[0] != "le")
    return others, _SUFFIXES[row.kind].index(suffix), float(dict(labels).get("le", "0"))
