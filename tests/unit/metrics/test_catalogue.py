"""Tests of the catalogue: rows that Prometheus takes, under names and labels that stay few.

Invariant under test: no label can take a value from outside; names and units follow the conventions of the exposition
format. It must not know who records.
"""

import re

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics.catalogue import CATALOGUE, Row, most_series

# What a label may be called. No stream, session, address or prompt is among them.
LABELS = {
    "action",
    "code",
    "codec",
    "kind",
    "level",
    "model",
    "operation",
    "outcome",
    "python",
    "reason",
    "result",
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
    metric = KINDS[row.kind](row.full, row.help, row.labels, registry=CollectorRegistry(), **extra)
    assert next(iter(metric.describe())).name == (row.name if row.bare else f"wavegate_{row.name}")


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
    assert re.fullmatch(r"[A-Z0-9].*\.", row.help)
    assert not row.look or re.fullmatch(r"[A-Z].*\.", row.look)
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
    assert not row.initial or row.kind == "gauge"
    assert row.merge == "sum" or row.kind == "gauge"
    assert (row.merge == "used_of_limit") <= (row.labels == ("state",))


def test_names_are_unique() -> None:
    """No two rows have a name, also not with what the exposition format adds to a counter."""
    names = [row.name for row in CATALOGUE]
    assert len(set(names)) == len(names)
    full = [row.full for row in CATALOGUE]
    assert len(set(full)) == len(full)


def test_the_number_of_series_is_bounded() -> None:
    """All rows together, in the number that the catalogue tells of; only tenants are as many as is configured."""
    assert most_series(100) < 3_600
    per_tenant = most_series(101) - most_series(100)
    assert most_series(1100) - most_series(100) == 1000 * per_tenant
    assert per_tenant < 20
