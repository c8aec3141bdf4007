"""A histogram as the gateway exposes it.

Invariant under test: only what came since is counted, and estimates are Prometheus' own.
It must not know what was observed.
"""

import math

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from gateway.bench.benches import BenchError
from gateway.bench.latency_histogram import histogram


def test_what_came_since_is_counted() -> None:
    """From the text that Prometheus reads; the share within a bound, and quantiles between two."""
    registry = CollectorRegistry()
    metric = Histogram("wavegate_delay_seconds", "x", buckets=(0.001, 0.005, 0.01), registry=registry)
    Histogram("wavegate_delay_seconds_other", "x", registry=registry).observe(1)
    metric.observe(7)
    before = histogram(generate_latest(registry).decode(), "delay_seconds")
    for seconds in (0.0005, 0.0005, 0.002, 0.003):
        metric.observe(seconds)
    found = histogram(generate_latest(registry).decode(), "delay_seconds").since(before)
    assert found.counts == {0.001: 2, 0.005: 4, 0.01: 4, math.inf: 4}
    assert found.count == 4
    assert (found.within(0.001), found.within(0.005)) == (0.5, 1.0)
    assert found.quantile(0.5) == pytest.approx(0.001)
    assert found.quantile(0.75) == pytest.approx(0.003)
    assert before.quantile(0.5) == math.inf


def test_a_metric_that_is_not_there_is_told() -> None:
    """By its name."""
    with pytest.raises(BenchError, match="the gateway has no metric wavegate_delay"):
        histogram("", "delay")
