"""The verbs of what is bought: the provider and its account, money, and the formats that are made of a song.

Invariant: seconds are seconds of audio where the metric says audio, else of time.
It must not know a provider, a ledger or a codec.
"""

from metrics.series import Series


class Buying(Series):
    """What the upstream, the ledger and the codec workers say."""

    # -- the provider ----------------------------------------------------------------------------------------------

    def upstream_first_audio(self, model: str, seconds: float) -> None:
        self._child("upstream_first_audio_seconds", model).observe(seconds)

    def upstream_received(self, size: int) -> None:
        self._child("upstream_bytes").inc(size)

    def upstream_sang(self, seconds: float) -> None:
        """So much more sound has come."""
        self._child("upstream_audio_seconds").inc(max(0.0, seconds))

    def upstream_error(self, code: str) -> None:
        self._child("upstream_errors", code).inc()

    def upstream_retry(self) -> None:
        self._child("upstream_retries").inc()

    def upstream_concurrency(self, used: int, limit: int) -> None:
        self._child("upstream_concurrency", "used").set(used)
        self._child("upstream_concurrency", "limit").set(limit)

    def upstream_queue(self, waiting: int) -> None:
        self._child("upstream_queue").set(waiting)

    def upstream_waited(self, seconds: float) -> None:
        """A generation has got its turn."""
        self._child("upstream_queue_seconds").observe(seconds)

    def upstream_circuit(self, *, is_open: bool) -> None:
        self._child("upstream_circuit_open").set(is_open)

    # -- money -----------------------------------------------------------------------------------------------------

    def quota_rejected(self, tenant: str, reason: str) -> None:
        self._child("quota_rejections", tenant, reason).inc()

    def audio_seconds(self, tenant: str, state: str, seconds: float) -> None:
        self._child("audio_seconds", tenant, state).inc(max(0.0, seconds))

    def cost(self, tenant: str, amount: float) -> None:
        """What was settled costs so much."""
        self._child("cost", tenant).inc(max(0.0, amount))

    def ledger_step(self, operation: str, seconds: float, *, failed: bool) -> None:
        """The ledger has taken a step, or could not."""
        self._child("ledger_seconds", operation).observe(seconds)
        if failed:
            self._child("ledger_errors", operation).inc()

    # -- the codec workers -----------------------------------------------------------------------------------------

    def transcoded(self, codec: str, audio_seconds: float, cpu_seconds: float) -> None:
        self._child("transcode_audio_seconds", codec).inc(audio_seconds)
        self._child("transcode_cpu_seconds", codec).inc(cpu_seconds)

    def rendition_started(self, codec: str) -> None:
        self._child("renditions_active", codec).inc()

    def rendition_ended(self, codec: str) -> None:
        self._child("renditions_active", codec).dec()

    def codec_workers(self, workers: int, room: int) -> None:
        """So many live, with room for so many encodes in all."""
        self._child("codec_workers").set(workers)
        self._child("renditions_limit").set(room)

    def codec_worker_ended(self, reason: str) -> None:
        """One has `died` or `hung`, or has `not_started`, and another will be started in its place."""
        self._child("codec_worker_restarts", reason).inc()

    def codec_workers_used(self, cpu_seconds: float, resident: int) -> None:
        """All of them have taken so much processor time since the last time, and hold so much memory."""
        self._child("codec_worker_cpu_seconds").inc(max(0.0, cpu_seconds))
        self._child("codec_worker_memory_bytes").set(resident)
