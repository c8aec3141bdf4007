"""Tests of the page that Prometheus reads: both formats, read back by the client library's own parsers.

Invariant under test: what was recorded is what is read, in the format that the scraper asked for. It must not know any
single metric beyond the ones it writes itself.
"""

from collections.abc import Callable, Iterable

import pytest
from prometheus_client import Metric
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from metrics.catalogue import CATALOGUE
from metrics.exposition import render
from metrics.recorder import Recorder

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1"
Parser = Callable[[str], Iterable[Metric]]


def recorded() -> Recorder:
    """A recorder with a value in a counter, a gauge and a histogram, and letters that have to be escaped."""
    recorder = Recorder(version='1.0 "quoted" \\ and\nbroken')
    recorder.audio_seconds("acme", "settled", 12.5)
    recorder.listener_joined("websocket", "mp3")
    recorder.relayed(0.003)
    return recorder


@pytest.mark.parametrize(
    ("accept", "parse", "content_type"),
    [
        (OPENMETRICS, parse_openmetrics, "application/openmetrics-text"),
        ("text/plain", parse_text, "text/plain"),
        ("", parse_text, "text/plain"),
        ("*/*", parse_text, "text/plain"),
        ("nonsense;;=,", parse_text, "text/plain"),
    ],
)
def test_the_page_reads_back(accept: str, parse: Parser, content_type: str) -> None:
    """The scraper gets the format it asks for, the text format in doubt, with every family and the values recorded."""
    recorder = recorded()
    body, told = render(recorder.registry, accept)
    assert told.startswith(content_type)
    families = list(parse(body.decode()))
    assert [row.full for row in CATALOGUE] == [family.name for family in families]
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }
    assert samples["wavegate_audio_seconds_total", (("state", "settled"), ("tenant", "acme"))] == 12.5
    assert samples["wavegate_listeners", (("codec", "mp3"), ("transport", "websocket"))] == 1.0
    assert samples["wavegate_relay_latency_seconds_bucket", (("le", "0.005"),)] == 1.0
    assert samples["wavegate_relay_latency_seconds_bucket", (("le", "0.0025"),)] == 0.0
    versions = [dict(labels)["version"] for name, labels in samples if name == "wavegate_build_info"]
    assert versions == ['1.0 "quoted" \\ and\nbroken']


@pytest.mark.parametrize(("accept", "parse"), [(OPENMETRICS, parse_openmetrics), ("", parse_text)])
def test_types_and_helps_are_those_of_the_catalogue(accept: str, parse: Parser) -> None:
    """Each family is told as the kind it is, with its sentence."""
    body, _ = render(Recorder().registry, accept)
    told = {family.name: (family.type, family.documentation) for family in parse(body.decode())}
    for row in CATALOGUE:
        assert told[row.full] == (row.kind, row.help)


@pytest.mark.parametrize("accept", [OPENMETRICS, ""])
def test_when_a_series_began_is_not_told(accept: str) -> None:
    """It would be one more series for each, and all that are known are there from the start."""
    assert b"_created" not in render(recorded().registry, accept)[0]


@pytest.mark.parametrize(
    ("told", "said"), [(float("inf"), "+Inf"), (float("-inf"), "-Inf"), (float("nan"), "NaN"), (3, "3.0")]
)
def test_numbers_are_as_the_format_has_them(told: float, said: str) -> None:
    """Also those that nobody should ever tell."""
    recorder = Recorder()
    recorder.certificate(told)
    assert f"wavegate_tls_certificate_expiry_timestamp_seconds {said}\n".encode() in render(recorder.registry, "")[0]
