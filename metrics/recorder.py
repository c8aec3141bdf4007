"""The verbs by which the gateway records what happened; each knows its metric and labels, the caller knows neither.

Invariant: recording never raises, never blocks, and never creates an unbounded series: tenants past the limit count
as `other`. Every Recorder has a registry of its own, so that two gateways in one process do not mix.
"""

import platform
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from metrics.catalogue import CATALOGUE, PREFIX, Row

_KINDS: dict[str, Any] = {"counter": Counter, "gauge": Gauge, "histogram": Histogram}


def _build(row: Row, registry: CollectorRegistry) -> Any:
    extra = {"buckets": row.buckets} if row.kind == "histogram" else {}
    return _KINDS[row.kind](f"{PREFIX}_{row.name}", row.help, row.labels, registry=registry, **extra)


class Recorder:
    """All instruments of one gateway. `max_tenants` bounds the values of the `tenant` label."""

    def __init__(self, *, version: str = "dev", max_tenants: int = 100) -> None:
        self.registry = CollectorRegistry()
        self._metrics = {row.name: _build(row, self.registry) for row in CATALOGUE}
        # labels() takes a lock and builds strings on each call: children are bound once and kept.
        self._children: dict[tuple[str, ...], Any] = {}
        self._tenants: set[str] = set()
        self._max_tenants = max_tenants
        self._child("build_info", version, platform.python_version()).set(1)

    def _child(self, name: str, *labels: str) -> Any:
        key = (name, *labels)
        child = self._children.get(key)
        if child is None:
            metric = self._metrics[name]
            child = self._children[key] = metric.labels(*labels) if labels else metric
        return child

    def _tenant(self, tenant: str) -> str:
        if tenant in self._tenants:
            return tenant
        if len(self._tenants) < self._max_tenants:
            self._tenants.add(tenant)
            return tenant
        return "other"

    # -- streams ---------------------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        self._child("streams_active").inc()

    def stream_ended(self, model: str, outcome: str) -> None:
        self._child("streams_active").dec()
        self._child("streams", model, outcome).inc()

    # -- the provider ----------------------------------------------------------------------------------------------

    def upstream_first_audio(self, model: str, seconds: float) -> None:
        self._child("upstream_first_audio_seconds", model).observe(seconds)

    def upstream_received(self, size: int) -> None:
        self._child("upstream_bytes").inc(size)

    def upstream_error(self, code: str) -> None:
        self._child("upstream_errors", code).inc()

    def upstream_retry(self) -> None:
        self._child("upstream_retries").inc()

    def upstream_concurrency(self, used: int, limit: int) -> None:
        self._child("upstream_concurrency", "used").set(used)
        self._child("upstream_concurrency", "limit").set(limit)

    # -- the relay -------------------------------------------------------------------------------------------------

    def relay_first_audio(self, seconds: float) -> None:
        self._child("relay_first_audio_seconds").observe(seconds)

    def relayed(self, seconds: float) -> None:
        """A chunk has reached every listener that had room, `seconds` after its last upstream byte."""
        self._child("relay_latency_seconds").observe(seconds)

    def written(self, transport: str, codec: str, chunks: int, size: int) -> None:
        self._child("frames_written", transport).inc(chunks)
        self._child("egress_bytes", transport, codec).inc(size)

    def gap(self, reason: str) -> None:
        self._child("gaps", reason).inc()

    def slow_listener(self, action: str) -> None:
        self._child("slow_listeners", action).inc()

    def listener_joined(self, transport: str, codec: str) -> None:
        self._child("listener_joins").inc()
        self._child("listeners", transport, codec).inc()

    def listener_left(self, transport: str, codec: str) -> None:
        self._child("listeners", transport, codec).dec()

    def websocket_closed(self, code: int) -> None:
        # Registered codes and our own 4xxx are a closed set; whatever else a client sends counts as one.
        known = 1000 <= code <= 1015 or 4000 <= code <= 4299
        self._child("websocket_closes", str(code) if known else "other").inc()

    # -- money -----------------------------------------------------------------------------------------------------

    def quota_rejected(self, tenant: str, reason: str) -> None:
        self._child("quota_rejections", self._tenant(tenant), reason).inc()

    def refused(self, reason: str) -> None:
        """Something new found no room (`connections`, `memory`), or did not say in time what it wanted (`late`)."""
        self._child("refusals", reason).inc()

    def audio_seconds(self, tenant: str, state: str, seconds: float) -> None:
        self._child("audio_seconds", self._tenant(tenant), state).inc(max(0.0, seconds))

    # -- the codec workers -----------------------------------------------------------------------------------------

    def transcoded(self, codec: str, audio_seconds: float, cpu_seconds: float) -> None:
        self._child("transcode_audio_seconds", codec).inc(audio_seconds)
        self._child("transcode_cpu_seconds", codec).inc(cpu_seconds)

    def rendition_started(self, codec: str) -> None:
        self._child("renditions_active", codec).inc()

    def rendition_ended(self, codec: str) -> None:
        self._child("renditions_active", codec).dec()

    # -- the process -----------------------------------------------------------------------------------------------

    def loop_lag(self, seconds: float) -> None:
        self._child("event_loop_lag_seconds").observe(seconds)

    def worker_restarted(self, reason: str) -> None:
        """A worker process was started in place of one that `died` or was `replaced`."""
        self._child("worker_restarts", reason).inc()
