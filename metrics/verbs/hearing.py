"""The verbs of what is heard: listeners, what they were sent, how far they are behind, and the songs themselves.

Invariant: what happens for each chunk is told once a fan-out, and what is looked at each second once for all listeners
that are alike. It must not know listeners or channels.
"""

from metrics.series import Series


class Hearing(Series):
    """What the relay says."""

    # -- songs -----------------------------------------------------------------------------------------------------

    def stream_started(self) -> None:
        self._child("streams_active").inc()

    def stream_ended(self, model: str, outcome: str) -> None:
        self._child("streams_active").dec()
        self._child("streams", model, outcome).inc()

    def stream_stalled(self, model: str, kind: str) -> None:
        """Its sound stands `still`, or is `silence`, for long."""
        self._child("stream_stalls", model, kind).inc()

    def streams_stalled(self, kind: str, streams: int) -> None:
        self._child("streams_stalled", kind).set(streams)

    def retained(self, streams: int, size: int) -> None:
        """What is in memory now."""
        self._child("retained_streams").set(streams)
        self._child("retained_bytes").set(size)

    # -- who listens -----------------------------------------------------------------------------------------------

    def listener_joined(self, transport: str, codec: str) -> None:
        self._child("listener_joins").inc()
        self._child("listeners", transport, codec).inc()

    def listener_left(self, transport: str, codec: str, reason: str = "left") -> None:
        self._child("listeners", transport, codec).dec()
        self._child("listener_departures", transport, reason).inc()

    def listened(self, transport: str, seconds: float) -> None:
        """So much listening by all listeners at this door together."""
        self._child("listener_seconds", transport).inc(seconds)

    def lagging(self, seconds: float, listeners: int) -> None:
        """So many listeners are this far behind, at this second."""
        self._child("listener_lag_seconds").observe(seconds, times=listeners)

    # -- what they are sent ----------------------------------------------------------------------------------------

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
