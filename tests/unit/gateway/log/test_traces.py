"""Traces: nothing without an endpoint, a sentence without OpenTelemetry, the caller's trace where there is one.

Invariant: spans are caught where they would be sent; a whole way to a collector is walked by the integration tests.
They must not know streams.
"""

import subprocess
import sys
from collections.abc import Sequence
from typing import Any

import pytest
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult

from gateway.errors import StartError
from gateway.log import traces as room
from gateway.log.traces import traces

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture
def sent(monkeypatch: pytest.MonkeyPatch) -> list[ReadableSpan]:
    found: list[ReadableSpan] = []

    def export(self: Any, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        found.extend(spans)
        return SpanExportResult.SUCCESS

    monkeypatch.setattr(OTLPSpanExporter, "export", export)
    return found


async def test_nothing_without_an_endpoint() -> None:
    """None."""
    async with traces(None, "1") as found:
        assert found is None


def test_nothing_is_imported_with_the_room() -> None:
    """Whoever wants no traces does not pay for them."""
    code = "import sys, gateway.log.traces; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0


async def test_without_opentelemetry(monkeypatch: pytest.MonkeyPatch) -> None:
    """An endpoint for nothing is a mistake that says both ways out."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(StartError, match=r"pip install \"wavegate\[otel\]\""):
        async with traces("http://127.0.0.1:4318", "1"):
            pass


@pytest.mark.parametrize(
    ("endpoint", "url"),
    [
        ("http://127.0.0.1:1", "http://127.0.0.1:1/v1/traces"),
        ("http://127.0.0.1:1/", "http://127.0.0.1:1/v1/traces"),
        ("http://127.0.0.1:1/otlp", "http://127.0.0.1:1/otlp"),
    ],
)
async def test_where_they_go(
    endpoint: str, url: str, sent: list[ReadableSpan], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A base gets the usual path, an address with a path is taken as it is; the environment may name the service."""
    asked: list[str] = []
    whole = OTLPSpanExporter.__init__

    def init(self: Any, endpoint: str, **options: Any) -> None:
        asked.append(endpoint)
        whole(self, endpoint=endpoint, **options)

    monkeypatch.setattr(OTLPSpanExporter, "__init__", init)
    async with traces(endpoint, "1") as found:
        assert found is not None
        found.begin("stream", 1.0, None).end(2.0, {}, None)
    assert asked == [url]
    assert sent[0].resource.attributes["service.name"] == "wavegate"
    monkeypatch.setenv("OTEL_SERVICE_NAME", "radio")
    async with traces(endpoint, "1") as found:
        assert found is not None
        found.begin("stream", 1.0, None).end(2.0, {}, None)
    assert sent[1].resource.attributes["service.name"] == "radio"


async def test_spans(sent: list[ReadableSpan]) -> None:
    """Below the caller's; with their moments, facts and errors."""
    async with traces("http://127.0.0.1:1", "1") as found:
        assert found is not None
        root = found.begin("stream", 10.0, PARENT)
        assert root.trace_id == "0af7651916cd43dd8448eb211c80319c"
        root.event("joined", 11.0, {"n": 1})
        root.child("upstream", 12.0, 13.0, {"bytes": 3}, ("accepted", 12.5), "upstream_failed")
        root.child("settle", 13.0, 12.0)
        root.end(14.0, {"status": "failed"}, "upstream_failed")
    upstream, settle, whole = sent
    assert (whole.name, whole.start_time, whole.end_time) == ("stream", 10_000_000_000, 14_000_000_000)
    assert whole.parent is not None
    assert f"{whole.parent.span_id:016x}" == "b7ad6b7169203331"
    assert [(event.name, event.timestamp, dict(event.attributes or {})) for event in whole.events] == [
        ("joined", 11_000_000_000, {"n": 1})
    ]
    assert (whole.status.description, dict(whole.attributes or {})) == ("upstream_failed", {"status": "failed"})
    assert (upstream.kind.name, settle.kind.name, whole.kind.name) == ("CLIENT", "INTERNAL", "SERVER")
    assert (upstream.status.description, settle.status.description) == ("upstream_failed", None)
    assert [event.name for event in upstream.events] == ["accepted"]
    assert settle.end_time == settle.start_time


@pytest.mark.parametrize("parent", [None, "", "00-abc", PARENT.replace("00-", "ff-"), PARENT + "x", "00-" + "0" * 60])
async def test_a_parent_that_is_none(parent: str | None, sent: list[ReadableSpan]) -> None:
    """A trace of its own."""
    async with traces("http://127.0.0.1:1", "1") as found:
        assert found is not None
        span = found.begin("stream", 1.0, parent)
        span.end(2.0, {}, None)
    assert sent[0].parent is None
    assert span.trace_id != "0af7651916cd43dd8448eb211c80319c"


async def test_a_collector_that_hangs_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """The end waits a moment."""
    monkeypatch.setattr(room, "LAST_SECONDS", 0.05)
    async with traces("http://127.0.0.1:1", "1") as found:
        assert found is not None
        found.begin("stream", 1.0, None).end(2.0, {}, None)
