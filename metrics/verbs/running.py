"""The verbs of what runs: the server's doors and its life, the nodes it belongs to, the process.

Invariant: what can be looked at only now and then, such as what the process takes, is told right before a page is made.
It must not know sockets, signals or Redis.
"""

from collections.abc import Collection

from metrics.labels import UNREADY
from metrics.series import Series


class Running(Series):
    """What the server, the cluster and the process say."""

    # -- the doors -------------------------------------------------------------------------------------------------

    def connections(self, kind: str, number: int) -> None:
        self._child("connections", kind).set(number)

    def websocket_closed(self, code: int) -> None:
        self._child("websocket_closes", str(code)).inc()

    def refused(self, reason: str) -> None:
        """Something new found no room, was late, or one party had more than its share: the label has the words."""
        self._child("refusals", reason).inc()

    # -- its life --------------------------------------------------------------------------------------------------

    def readiness(self, reasons: Collection[str]) -> None:
        """Why no new work should come, in the words of /readyz; without any it is ready."""
        slugs = {reason.replace(" ", "_") for reason in reasons}
        self._child("ready").set(not slugs)
        self._child("draining").set("draining" in slugs)
        for slug in {*UNREADY.values, *slugs}:
            self._child("unready", slug).set(slug in slugs)

    def config_reloaded(self, at: float | None) -> None:
        """The configuration was taken up at this time, or refused if None."""
        self._child("config_reloads", "refused" if at is None else "ok").inc()
        self._child("config_reload_ok").set(at is not None)
        if at is not None:
            self._child("config_reload_timestamp_seconds").set(at)

    def certificate(self, not_after: float) -> None:
        """The certificate in use ends then, in seconds since the epoch."""
        self._child("tls_certificate_expiry_timestamp_seconds").set(not_after)

    def log_line(self, level: str) -> None:
        self._child("log_lines", level).inc()

    def log_lines_suppressed(self, lines: int) -> None:
        self._child("log_lines_suppressed").inc(lines)

    def log_lines_dropped(self, lines: int) -> None:
        self._child("log_lines_dropped").inc(lines)

    def worker_restarted(self, reason: str) -> None:
        """A worker process was started in place of one that `died` or was `replaced`."""
        self._child("worker_restarts", reason).inc()

    # -- the nodes -------------------------------------------------------------------------------------------------

    def redis_answers(self, *, up: bool) -> None:
        self._child("redis_up").set(up)

    def redis_command(self, seconds: float) -> None:
        self._child("redis_command_seconds").observe(seconds)

    def cluster_nodes(self, nodes: int) -> None:
        self._child("cluster_nodes").set(nodes)

    # -- the process -----------------------------------------------------------------------------------------------

    def memory_mark(self, size: int) -> None:
        """Resident memory past which newcomers are turned away; 0 is no mark."""
        self._child("memory_mark_bytes").set(size)

    def loop_lag(self, seconds: float) -> None:
        self._child("event_loop_lag_seconds").observe(seconds)

    def tasks(self, count: int) -> None:
        """The event loop has so many now."""
        self._child("event_loop_tasks").set(count)

    def process(self, cpu_seconds: float, resident: int, open_files: int, most_files: int, started: float) -> None:
        """What the process has taken since it `started`, and holds now."""
        counted = self._child("process_cpu_seconds")
        counted.inc(max(0.0, cpu_seconds - self._counted_cpu))
        self._counted_cpu = max(self._counted_cpu, cpu_seconds)
        self._child("process_resident_memory_bytes").set(resident)
        self._child("process_open_fds").set(open_files)
        self._child("process_max_fds").set(most_files)
        self._child("process_start_time_seconds").set(started)

    _counted_cpu = 0.0
