"""Several processes' metrics as one: real recorders' pages are read, added up, and read back by the real parser.

Invariant under test: merged pages say what one process that had done everything would say, in either format.
It must not know where pages come from.
"""

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from metrics.catalogue import CATALOGUE
from metrics.exposition import render
from metrics.merging import Reader, Snapshot, families, lasting, merge
from metrics.recorder import Recorder

OPENMETRICS: Callable[[str], Iterable[Metric]] = parse_openmetrics


class Found:
    """A snapshot as something to be collected."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterable[Metric]:
        return families(self._snapshot)


def work(recorder: Recorder, times: int) -> Recorder:
    """Does something of every kind."""
    for number in range(times):
        recorder.stream_started()
        recorder.stream_ended("m", "completed")
        recorder.listener_joined("http" if number % 2 else "websocket", "mp3")
        recorder.audio_seconds("acme", "settled", 0.5)
        recorder.relayed(0.0002 * 4**number)
        recorder.upstream_first_audio("m", 0.25)
        recorder.websocket_closed(1000)
    return recorder


def read(text: str) -> Snapshot:
    return Reader().read(text)


def page(recorder: Recorder) -> str:
    return render(recorder.registry, "")[0].decode()


def values(text: str) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_two_are_as_one_that_has_done_it_all() -> None:
    """Every sample of every row: the same values, kinds, sentences and order as a single process's page."""
    whole = page(work(work(Recorder(version="1"), 3), 4))
    parts = merge(read(page(work(Recorder(version="1"), times))) for times in (3, 4))
    merged = render(Found(parts), "")[0].decode()
    assert values(merged) == values(whole)
    told, expected = (text.splitlines() for text in (merged, whole))
    assert [line for line in told if line.startswith("#")] == [line for line in expected if line.startswith("#")]
    assert {line.rpartition(" ")[0] for line in told} == {line.rpartition(" ")[0] for line in expected}


def test_a_histogram_is_read_by_who_is_strict() -> None:
    """The parser of OpenMetrics refuses buckets out of order, doubled families and counters that are none."""
    parts = merge(read(page(work(Recorder(version='a"\\\nb'), times))) for times in (2, 5))
    body, content_type = render(Found(parts), "application/openmetrics-text;version=1.0.0")
    assert content_type.startswith("application/openmetrics-text")
    found = {family.name: family for family in OPENMETRICS(body.decode())}
    assert {row.full for row in CATALOGUE} == set(found)
    buckets = [s.value for s in found["wavegate_relay_latency_seconds"].samples if s.name.endswith("_bucket")]
    assert buckets == sorted(buckets)
    assert buckets[-1] == 7.0


def test_what_is_no_sum_is_none() -> None:
    """A version is 1 in however many processes; of one account there is one limit, and everybody's use is added.

    Redis is away if one cannot reach it; the first to have started tells when, and one that does not know says nothing.
    """
    recorders = [Recorder(version="1"), Recorder(version="1"), Recorder(version="2")]
    for recorder, used in zip(recorders, (3, 4, 0), strict=True):
        recorder.upstream_concurrency(used, 20)
        recorder.redis_answers(up=used != 4)
        recorder.certificate(5.0 * used)
        recorder.cluster_nodes(used)
    found = merge(read(page(recorder)) for recorder in recorders)
    at = "wavegate_upstream_concurrency"
    assert (found[at, (("state", "used"),)], found[at, (("state", "limit"),)]) == (7.0, 20.0)
    assert found["wavegate_redis_up", ()] == 0.0
    assert found["wavegate_cluster_nodes", ()] == 4.0
    assert found["wavegate_tls_certificate_expiry_timestamp_seconds", ()] == 15.0
    versions = {dict(labels)["version"]: value for (name, labels), value in found.items() if "build_info" in name}
    assert versions == {"1": 1.0, "2": 1.0}


def test_the_dead_have_counted_and_hold_nothing() -> None:
    """Of one that is gone counters and histograms stay; its gauges go."""
    first = read(page(work(Recorder(), 2)))
    kept = lasting(first)
    assert ("wavegate_listeners", (("codec", "mp3"), ("transport", "http"))) in first
    gauges = {row.full for row in CATALOGUE if row.kind == "gauge"}
    assert not gauges & {name for name, _ in kept}
    assert kept["wavegate_streams_total", (("model", "m"), ("outcome", "completed"))] == 2.0


def test_names_that_count_as_one_are_added() -> None:
    """Two tenants of a page that go by one name are its sum, and nothing else changes its name."""
    recorder = Recorder()
    for tenant in ("a", "b"):
        recorder.audio_seconds(tenant, "settled", 1.5)
    found = Reader(lambda name, values: ("other", *values[1:]) if name == "audio_seconds" else values).read(
        page(recorder)
    )
    assert [value for (name, _), value in found.items() if name == "wavegate_audio_seconds_total"] == [3.0]


def test_what_was_understood_is_not_asked_again() -> None:
    """A page is read as often as one likes: names are given once, values are those of the page."""
    asked: list[str] = []

    def names(metric: str, values: tuple[str, ...]) -> tuple[str, ...]:
        asked.append(metric)
        return values

    reader, recorder = Reader(names), Recorder()
    for number in (1, 2):
        recorder.gap("lag")
        assert reader.read(page(recorder))["wavegate_gaps_total", (("reason", "lag"),)] == number
    assert asked.count("gaps") == 3


def test_only_what_the_catalogue_has_is_taken() -> None:
    """A process of a newer version may say more; what is no page at all is an error."""
    assert read("# TYPE other_total counter\nother_total 5\nwavegate_new_total 1\n") == {}
    with pytest.raises(ValueError, match=r"\S"):
        read("wavegate_listener_joins_total none\n")
