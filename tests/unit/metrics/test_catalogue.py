"""Tests of the catalogue: rows that Prometheus takes, under names and labels that stay few.

Invariant under test: no label can take a value from outside; names and units follow the conventions of the exposition
format. It must not know who records.
"""

import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics.catalogue import CATALOGUE, PREFIX, Row

# Every one of these has a closed set of values. No stream, session, address or prompt is among them.
LABELS = {
    "action",
    "code",
    "codec",
    "model",
    "outcome",
    "python",
    "reason",
    "state",
    "tenant",
    "transport",
    "version",
}
KINDS = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_every_row_builds(row: Row) -> None:
    """The client library takes each row as the kind it says it is."""
    extra = {"buckets": row.buckets} if row.buckets else {}
    metric = KINDS[row.kind](f"{PREFIX}_{row.name}", row.help, row.labels, registry=CollectorRegistry(), **extra)
    assert next(iter(metric.describe())).name == f"wavegate_{row.name}"


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_labels_are_from_closed_sets(row: Row) -> None:
    """A label outside this list would be one more series for every value that somebody sends."""
    assert set(row.labels) <= LABELS
    assert len(set(row.labels)) == len(row.labels) <= 2


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_names_follow_the_conventions(row: Row) -> None:
    """Small letters, no `_total` of our own, times in seconds, and a sentence that says what is counted."""
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", row.name)
    assert not row.name.endswith(("_total", "_count", "_sum", "_bucket", "_ms", "_milliseconds"))
    assert re.fullmatch(r"[A-Z].*\.", row.help)
    assert not re.search(r"_(stream|session|address|prompt|key)_?id", row.name)


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_histograms_have_ordered_buckets(row: Row) -> None:
    """Histograms, all in seconds, have buckets that rise; nothing else has any."""
    assert bool(row.buckets) == (row.kind == "histogram")
    assert list(row.buckets) == sorted(set(row.buckets))
    assert row.kind != "histogram" or row.name.endswith("_seconds")


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_what_is_counted_is_added(row: Row) -> None:
    """Only a gauge of several processes can be anything but their sum; a limit is told beside what is used of it."""
    assert row.merge == "sum" or row.kind == "gauge"
    assert (row.merge == "used_of_limit") <= (row.labels == ("state",))


def test_names_are_unique() -> None:
    """No two rows have a name, also not with what the exposition format adds to a counter."""
    names = [row.name for row in CATALOGUE]
    assert len(set(names)) == len(names)
