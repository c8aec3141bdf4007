"""Several processes' metrics as those of one: pages are read, added up by the catalogue, and told again as families.

Invariant: pure, and exact: what a page says is what is added, and the order of the pages does not matter. Only what the
catalogue has is taken, so the number of series stays bounded. prometheus_client's own way for several processes, files
that they share, was left: it wants its directory in the environment before it is imported, each worker ever started
leaves a file there, and its gauges need a mode besides. It must not know where pages come from.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families

from metrics.catalogue import CATALOGUE

Sample = tuple[str, tuple[tuple[str, str], ...]]
"""A sample's name, and its labels by their names."""
Snapshot = dict[Sample, float]
Names = Callable[[str, tuple[str, ...]], tuple[str, ...]]
"""From a metric and its label values to those under which they count."""

_SUFFIXES = {"counter": ("_total",), "gauge": ("",), "histogram": ("_bucket", "_count", "_sum")}
_ROWS = {f"{row.full}{suffix}": (row, suffix) for row in CATALOGUE for suffix in _SUFFIXES[row.kind]}


class Reader:
    """Reads pages in the text format. What a line names is understood once: the library's parser takes 40 us for it.

    `names` is as of one set of pages that are to be joined.
    """

    def __init__(self, names: Names = lambda _, values: values) -> None:
        self._names = names
        # By what stands before the value; None where the catalogue has no such metric. A page has so many and no more.
        self._known: dict[str, Sample | None] = {}

    def read(self, page: str) -> Snapshot:
        """What a page says. Raises ValueError."""
        found: Snapshot = {}
        for line in page.split("\n"):
            named, _, number = line.rpartition(" ")
            if not named or named.startswith("#"):
                continue
            if named not in self._known:
                self._known[named] = self._understood(line)
            key = self._known[named]
            if key is not None:
                value = float(number)
                found[key] = _join(key, found[key], value) if key in found else value
        return found

    def _understood(self, line: str) -> Sample | None:
        """The sample that a line is about."""
        (family,) = text_string_to_metric_families(line)
        (sample,) = family.samples
        if sample.name not in _ROWS:
            return None
        row = _ROWS[sample.name][0]
        labels = dict(sample.labels)
        counted = self._names(row.name, tuple(labels.get(name, "") for name in row.labels))
        labels.update(zip(row.labels, counted, strict=True))
        return sample.name, tuple(sorted(labels.items()))


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
        metric = Metric(row.full, row.help, row.kind)
        for name, labels in sorted(found[row.name], key=_place):
            told = dict(labels)
            # The labels in the catalogue's order, as a single process tells them.
            ordered = {label: told[label] for label in (*row.labels, "le") if label in told}
            metric.add_sample(name, ordered, snapshot[name, labels])
        yield metric


def _join(key: Sample, one: float, other: float) -> float:
    row = _ROWS[key[0]][0]
    if row.merge == "earliest":
        return min(one, other) or max(one, other)
    if row.merge == "min":
        return min(one, other)
    largest = row.merge == "max" or (row.merge == "used_of_limit" and ("state", "limit") in key[1])
    return max(one, other) if largest else one + other


@lru_cache(maxsize=8192)
def _place(key: Sample) -> tuple[tuple[tuple[str, str], ...], int, float]:
    """A histogram's buckets stand together, and rise."""
    name, labels = key
    row, suffix = _ROWS[name]
    others = tuple(pair for pair in labels if pair[0] != "le")
    return others, _SUFFIXES[row.kind].index(suffix), float(dict(labels).get("le", "0"))
