"""Traces by OpenTelemetry, for who wants them: the only module that knows it, and it is loaded with the first of them.

Invariant: without an endpoint nothing is imported and nothing runs; nothing here waits for a collector but the end,
which does for a few seconds. What a trace says is its caller's: no text of anybody is added here.
It must not know streams.
"""

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

from gateway.errors import StartError

# How long the end waits for a collector to take what is left.
LAST_SECONDS = 3.0

_PARENT = re.compile(r"(?!ff)[0-9a-f]{2}-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(?:-.*)?")
_MISSING = """\
log.traces_endpoint is set, and OpenTelemetry is not installed. Two ways out:
  with traces:     pip install "wavegate[otel]"
  without traces:  log.traces_endpoint: null"""

Facts = Mapping[str, str | int | float]
_NONE: Facts = {}


@asynccontextmanager
async def traces(endpoint: str | None, version: str) -> AsyncIterator["OpenTelemetry | None"]:
    """Where traces go, as long as this is open; None without an endpoint.

    Raises StartError where OpenTelemetry is not installed, or the endpoint is no address.
    """
    if endpoint is None:
        yield None
        return
    found = await asyncio.to_thread(OpenTelemetry, endpoint, version)
    try:
        yield found
    finally:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(LAST_SECONDS):
                await asyncio.to_thread(found.close)


class OpenTelemetry:
    """Sends spans by OTLP over HTTP to `endpoint`, in the background. The standard OTEL_* variables say the rest."""

    def __init__(self, endpoint: str, version: str) -> None:
        try:
            from opentelemetry import trace
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.resources import Resource
            from opentelemetry.sdk.trace import TracerProvider
            from opentelemetry.sdk.trace.export import BatchSpanProcessor
        except ImportError:
            raise StartError(_MISSING) from None
        parts = urlsplit(endpoint)
        # A collector's address without a path is its base, as in OTEL_EXPORTER_OTLP_ENDPOINT.
        url = endpoint.rstrip("/") + "/v1/traces" if parts.path in ("", "/") else endpoint
        ours = {"service.name": "wavegate", "service.version": version}
        # What the environment says wins.
        resource = Resource(ours).merge(Resource.create())
        if str(resource.attributes.get("service.name")).startswith("unknown_service"):
            resource = resource.merge(Resource(ours))
        self._trace = trace
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=url, timeout=LAST_SECONDS)))
        self._tracer = self._provider.get_tracer("wavegate", version)

    def begin(self, name: str, at: float, parent: str | None) -> "OpenSpan":
        """Something begins, as part of the trace of a W3C `traceparent`; of one that is none a new one begins."""
        context = self._context(parent)
        span = self._tracer.start_span(name, context, self._trace.SpanKind.SERVER, start_time=_nanoseconds(at))
        return OpenSpan(self._trace, self._tracer, span)

    def _context(self, parent: str | None) -> Any:
        """Never what happens to be current in this task: that may be somebody else's."""
        trace = self._trace
        found = _PARENT.fullmatch(parent.strip()) if parent is not None else None
        if found is None:
            return trace.set_span_in_context(trace.INVALID_SPAN)
        flags = trace.TraceFlags(int(found[3], 16) & 1)
        known = trace.SpanContext(int(found[1], 16), int(found[2], 16), is_remote=True, trace_flags=flags)
        return trace.set_span_in_context(trace.NonRecordingSpan(known))

    def close(self) -> None:
        """Sends what is left; blocks until the collector has taken it, or has not in time."""
        self._provider.shutdown()


class OpenSpan:
    """Something with a beginning and an end."""

    def __init__(self, trace: Any, tracer: Any, span: Any) -> None:
        self._trace = trace
        self._tracer = tracer
        self._span = span
        self._context = trace.set_span_in_context(span)

    @property
    def trace_id(self) -> str:
        """32 hex digits."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def event(self, name: str, at: float, facts: Facts) -> None:
        """This happened in it."""
        self._span.add_event(name, dict(facts), _nanoseconds(at))

    def child(
        self,
        name: str,
        begin: float,
        end: float,
        facts: Facts = _NONE,
        event: tuple[str, float] | None = None,
        code: str | None = None,
    ) -> None:
        """A part of it that is over, with an event in it, and the code of its error if it failed."""
        kind = self._trace.SpanKind.CLIENT if name == "upstream" else self._trace.SpanKind.INTERNAL
        span = self._tracer.start_span(name, self._context, kind, dict(facts), start_time=_nanoseconds(begin))
        if event is not None:
            span.add_event(event[0], timestamp=_nanoseconds(event[1]))
        self._close(span, max(begin, end), code)

    def end(self, at: float, facts: Facts, code: str | None) -> None:
        """It is over; once."""
        self._span.set_attributes(dict(facts))
        self._close(self._span, at, code)

    def _close(self, span: Any, at: float, code: str | None) -> None:
        if code is not None:
            span.set_status(self._trace.Status(self._trace.StatusCode.ERROR, code))
        span.end(_nanoseconds(at))


def _nanoseconds(seconds: float) -> int:
    return round(seconds * 1e9)
