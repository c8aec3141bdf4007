"""Tests of the series behind the verbs: what is there from the start, and how many there can be at all.

Invariant under test: 100,000 tenants and labels full of nonsense make no more series than the catalogue says.
It must not know what any metric means.
"""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from metrics.catalogue import CATALOGUE, most_series
from metrics.exposition import render
from metrics.merging import Reader
from metrics.recorder import Recorder
from metrics.series import Histogram, Series, known
from metrics.totals import Totals

NONSENSE = some.text(max_size=8) | some.sampled_from(["other", "acme", 'a"\\\n', "mp3", "websocket", "1000"])


def count(recorder: Series) -> int:
    return sum(len(metric.samples) for metric in recorder.registry.collect()) - created(recorder)


def created(recorder: Series) -> int:
    return sum(s.name.endswith("_created") for metric in recorder.registry.collect() for s in metric.samples)


def flood(recorder: Recorder, number: int, words: list[str]) -> None:
    """One of everything that has a label, with values that come from somebody who means no good."""
    a, b, c = (f"{word}{number % 977}" for word in words)
    recorder.audio_seconds(f"tenant-{number}", a, 1.0)
    recorder.cost(f"tenant-{number}", 1.0)
    recorder.quota_rejected(f"tenant-{number}", b)
    recorder.stream_ended(a, b)
    recorder.stream_stalled(a, c)
    recorder.upstream_first_audio(b, 1.0)
    recorder.upstream_error(a)
    recorder.listener_joined(a, b)
    recorder.listener_left(b, c, a)
    recorder.listened(c, 1.0)
    recorder.written(a, c, 1, 1)
    recorder.gap(b)
    recorder.slow_listener(c)
    recorder.websocket_closed(number - 500)
    recorder.ledger_step(a, 1.0, failed=True)
    recorder.readiness([a, b])
    recorder.log_line(c)


@settings(max_examples=10, deadline=None)
@given(some.lists(some.lists(NONSENSE, min_size=3, max_size=3), max_size=20), some.integers(0, 3))
def test_whatever_comes_the_series_are_few(words: list[list[str]], max_tenants: int) -> None:
    """No more than the catalogue says, in one process and in several together."""
    recorder, totals = Recorder(max_tenants=max_tenants), Totals(max_tenants=max_tenants)
    for number, said in enumerate(words):
        flood(recorder, number * 37, said)
    assert count(recorder) <= most_series(max_tenants)
    totals.look(1, render(recorder.registry, "")[0].decode())
    assert sum(len(metric.samples) for metric in totals.collect()) <= most_series(max_tenants)


def test_a_hundred_thousand_tenants_are_a_hundred_and_others() -> None:
    """And all other labels are as full as they can be; what is remembered beside the series is as little."""
    recorder = Recorder(max_tenants=100)
    for number in range(100_000):
        recorder.audio_seconds(f"tenant-{number}", "settled", 1.0)
        if number % 50 == 0:
            flood(recorder, number, ["x", "y", "z"])
    assert count(recorder) <= most_series(100)
    assert len(recorder._children) <= most_series(100)
    page = Reader().read(render(recorder.registry, "")[0].decode())
    seconds = [value for (name, _), value in page.items() if name == "wavegate_audio_seconds_total"]
    assert sum(seconds) == 102_000
    tenants = {dict(labels)["tenant"] for name, labels in page if name == "wavegate_audio_seconds_total"}
    assert len(tenants) == 101
    assert "other" in tenants


@pytest.mark.parametrize("row", CATALOGUE, ids=lambda row: row.name)
def test_what_is_known_is_there_from_the_start(row) -> None:  # type: ignore[no-untyped-def]  # pytest's own idiom
    """Every series whose labels' values are known is on the first page, at its first value."""
    recorder = Recorder()
    suffix = {"counter": "_total", "gauge": "", "histogram": "_count"}[row.kind]
    for values in known(row) or ([()] if not row.by else []):
        found = recorder.registry.get_sample_value(row.full + suffix, dict(zip(row.labels, values, strict=True)))
        assert found == row.initial


def test_many_at_once_are_as_many_one_by_one() -> None:
    """The histogram's every sample is the same."""
    one, other = (Histogram("h", "h", buckets=(0.1, 1.0), registry=None) for _ in range(2))
    for amount in (0.05, 0.1, 0.5, 7.0):
        one.observe(amount, times=3)
        one.observe(amount, times=0)
        for _ in range(3):
            other.observe(amount)
    found, expected = (
        [(sample.name, sample.labels, sample.value) for metric in histogram.collect() for sample in metric.samples][:5]
        for histogram in (one, other)
    )
    assert found[:4] == expected[:4]
    assert found[4][2] == pytest.approx(expected[4][2])
