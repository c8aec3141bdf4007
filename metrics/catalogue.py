"""Every metric Wavegate exports, one row each: the name without its prefix, kind, help, labels, buckets.

Invariant: the number of series is bounded by construction: each label has a number of values that get series of their
own, past which all count as `other`; no stream, session, address or prompt is ever a label. Each row says in a word
what several processes' values make together. The table knows nothing of who records.
"""

from dataclasses import dataclass
from math import prod
from typing import Literal

from metrics import labels as by
from metrics.labels import Label

PREFIX = "wavegate"

# A relay step is tens of microseconds on a quiet machine and must show a bad day of whole seconds.
RELAY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# A song may take minutes to begin.
GENERATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 15.0, 20.0, 30.0, 40.0, 60.0, 120.0, 300.0, 600.0)
# Who is sent each chunk as it comes lags by none or by one; who joins a song at its start, by all of it.
LAG_BUCKETS = (0.0, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0)
# A commit on a good disk takes a millisecond; nobody waits longer than its patience of five seconds.
STORE_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)

Merge = Literal["sum", "max", "min", "earliest", "used_of_limit"]


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. A counter's name has no `_total`: the exposition format adds it.

    `merge` is what the values of several processes make: their sum, the largest, the smallest, the `earliest` moment
    that any knows (0 is none), or `used_of_limit`, which is the sum of what each uses beside the largest limit, since
    the limit is one for all. Counters and histograms are added. `initial` is a gauge's value before anybody sets it.
    `look` says to an operator what to look for. A `bare` name has no prefix, because all programs give it that name.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    by: tuple[Label, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Merge = "sum"
    initial: float = 0.0
    look: str = ""
    bare: bool = False

    @property
    def labels(self) -> tuple[str, ...]:
        """The names of its labels."""
        return tuple(label.name for label in self.by)

    @property
    def full(self) -> str:
        """The name of its family."""
        return self.name if self.bare else f"{PREFIX}_{self.name}"

    def most_series(self, max_tenants: int) -> int:
        """How many series it can have at most, with so many tenants by name."""
        samples = len(self.buckets) + 3 if self.kind == "histogram" else 1
        return samples * prod(label.most(max_tenants) + 1 for label in self.by)


def most_series(max_tenants: int) -> int:
    """How many series a gateway can have at most, whatever is done to it: some 3,200 with 100 tenants by name."""
    return sum(row.most_series(max_tenants) for row in CATALOGUE)


CATALOGUE: tuple[Row, ...] = (
    # -- what is heard -------------------------------------------------------------------------------------------------
    Row("listeners", "gauge", "Listeners attached now.", (by.TRANSPORT, by.CODEC)),
    Row("listener_joins", "counter", "Listeners that attached."),
    Row(
        "listener_departures",
        "counter",
        "Listeners that are no more, by what became of them.",
        (by.TRANSPORT, by.DEPARTURE),
        look="Lost and slow ones: the network's fault or ours. Failed ones heard a song that broke.",
    ),
    Row(
        "listener_seconds",
        "counter",
        "Seconds of listening: one a second for each listener that is there.",
        (by.TRANSPORT,),
        look="Divide cost or bytes by it.",
    ),
    Row(
        "listener_lag_seconds",
        "histogram",
        "How much of what exists a listener was not sent yet, each second and listener; HLS players fetch themselves.",
        (),
        LAG_BUCKETS,
        look="Its quantiles are over listener-seconds: a p99 of 5 is one listener in a hundred five seconds behind.",
    ),
    Row(
        "relay_first_audio_seconds",
        "histogram",
        "Upstream's first audio byte in until the first listener's first byte written.",
        (),
        RELAY_BUCKETS,
    ),
    Row(
        "relay_latency_seconds",
        "histogram",
        "A chunk's last upstream byte in until it was written to every listener that had room.",
        (),
        RELAY_BUCKETS,
    ),
    Row("egress_bytes", "counter", "Audio bytes written to listeners.", (by.TRANSPORT, by.CODEC)),
    Row("frames_written", "counter", "Chunks written to listeners.", (by.TRANSPORT,)),
    Row("gaps", "counter", "Gaps announced to listeners, by reason.", (by.GAP,)),
    Row("slow_listeners", "counter", "What was done about slow listeners.", (by.ACTION,)),
    # -- songs ---------------------------------------------------------------------------------------------------------
    Row("streams", "counter", "Streams that ended, by outcome.", (by.MODEL, by.OUTCOME)),
    Row("streams_active", "gauge", "Streams being generated now."),
    Row(
        "stream_stalls",
        "counter",
        "Times that a stream's sound stood still, or was digital silence, for long.",
        (by.MODEL, by.STALL),
    ),
    Row("streams_stalled", "gauge", "Streams whose sound stands still, or is silence, now.", (by.STALL,)),
    Row("retained_streams", "gauge", "Streams in memory, running and ended, also those of other nodes."),
    Row("retained_bytes", "gauge", "Bytes of audio in memory that listeners may ask for."),
    # -- the provider --------------------------------------------------------------------------------------------------
    Row(
        "upstream_first_audio_seconds",
        "histogram",
        "Request sent to the provider until its first audio byte.",
        (by.MODEL,),
        GENERATION_BUCKETS,
    ),
    Row("upstream_bytes", "counter", "Audio bytes received from the provider."),
    Row("upstream_audio_seconds", "counter", "Seconds of audio received from the provider."),
    Row("upstream_errors", "counter", "Generations the provider failed, by our code.", (by.UPSTREAM_CODE,)),
    Row("upstream_retries", "counter", "Generations asked for again after the provider failed them."),
    Row(
        "upstream_concurrency",
        "gauge",
        "Generations at the provider at once: used now, limit learned.",
        (by.USE,),
        merge="used_of_limit",
    ),
    Row("upstream_queue", "gauge", "Generations that wait for a turn at the provider."),
    Row(
        "upstream_queue_seconds",
        "histogram",
        "How long a generation waited for its turn, of those that got one.",
        (),
        GENERATION_BUCKETS,
    ),
    Row(
        "upstream_circuit_open",
        "gauge",
        "1 while the provider is given a pause after failures in a row.",
        merge="max",
    ),
    # -- money ---------------------------------------------------------------------------------------------------------
    Row("quota_rejections", "counter", "Requests refused by a limit.", (by.TENANT, by.LIMIT)),
    Row("audio_seconds", "counter", "Seconds of generated audio by state of the bill.", (by.TENANT, by.BILL)),
    Row("cost", "counter", "Cost of settled audio by quota.prices, in their unit.", (by.TENANT,)),
    Row("ledger_seconds", "histogram", "How long a step of the ledger took.", (by.LEDGER,), STORE_BUCKETS),
    Row(
        "ledger_errors",
        "counter",
        "Steps that the ledger could not take; a refusal is none.",
        (by.LEDGER,),
        look="Any: nothing can be bought, and bills wait.",
    ),
    # -- making formats ------------------------------------------------------------------------------------------------
    Row("renditions_active", "gauge", "Encodes that are being made now.", (by.CODEC,)),
    Row("renditions_limit", "gauge", "Encodes that there is room for, in the codec workers that live."),
    Row("transcode_audio_seconds", "counter", "Seconds of audio that were encoded.", (by.CODEC,)),
    Row("transcode_cpu_seconds", "counter", "Processor time spent on encoding.", (by.CODEC,)),
    Row("codec_workers", "gauge", "Codec workers that live now."),
    Row("codec_worker_restarts", "counter", "Codec workers that ended and were to be replaced.", (by.WORKER_END,)),
    Row("codec_worker_cpu_seconds", "counter", "Processor time of the codec workers, as far as it was looked at."),
    Row("codec_worker_memory_bytes", "gauge", "Resident memory of the codec workers."),
    # -- several nodes -------------------------------------------------------------------------------------------------
    Row("redis_up", "gauge", "0 while Redis does not answer; 1 also where there is none.", merge="min", initial=1.0),
    Row("redis_command_seconds", "histogram", "How long Redis took to answer a call.", (), STORE_BUCKETS),
    Row("cluster_nodes", "gauge", "Nodes that are alive, this one too; 0 where there is no cluster.", merge="max"),
    # -- the server ----------------------------------------------------------------------------------------------------
    Row("connections", "gauge", "Connections at the public port now.", (by.CONNECTION,)),
    Row("websocket_closes", "counter", "WebSocket connections closed, by close code.", (by.CLOSE_CODE,)),
    Row(
        "refusals",
        "counter",
        "Connections and requests refused, by what is full, or of what somebody had too much.",
        (by.FULL,),
    ),
    Row("ready", "gauge", "1 while new work may come, as /readyz says; of several workers, to any.", merge="max"),
    Row("unready", "gauge", "Processes that want no new work, by reason.", (by.UNREADY,)),
    Row("draining", "gauge", "Processes that are about to stop."),
    Row("config_reloads", "counter", "Times the configuration was read again.", (by.RESULT,)),
    Row(
        "config_reload_ok",
        "gauge",
        "0 while the last reload was refused: it goes on with the configuration that it had.",
        merge="min",
        initial=1.0,
    ),
    Row(
        "config_reload_timestamp_seconds",
        "gauge",
        "When the configuration in use was taken up again; 0 if never.",
        merge="max",
    ),
    Row(
        "tls_certificate_expiry_timestamp_seconds",
        "gauge",
        "When the certificate in use ends; 0 without TLS.",
        merge="earliest",
    ),
    Row("log_lines", "counter", "Lines logged.", (by.LEVEL,)),
    Row("log_lines_suppressed", "counter", "Lines not logged because they repeated others."),
    Row("log_lines_dropped", "counter", "Lines lost because whoever reads the log did not."),
    Row("worker_restarts", "counter", "Worker processes that were started in place of another.", (by.RESTART,)),
    Row("event_loop_lag_seconds", "histogram", "How late a timer of the event loop fires.", (), RELAY_BUCKETS),
    Row("event_loop_tasks", "gauge", "Tasks of the event loop now."),
    Row("build_info", "gauge", "The running version; always 1.", (by.VERSION, by.PYTHON), merge="max"),
    Row("process_cpu_seconds", "counter", "Processor time, user and system, of the gateway itself.", bare=True),
    Row("process_resident_memory_bytes", "gauge", "Resident memory of the gateway itself.", bare=True),
    Row("memory_mark_bytes", "gauge", "Resident memory past which newcomers are turned away; 0 is no mark."),
    Row("process_open_fds", "gauge", "Open files and sockets.", bare=True),
    Row("process_max_fds", "gauge", "Files and sockets that may be open.", bare=True),
    Row(
        "process_start_time_seconds",
        "gauge",
        "When it started; of several processes the first.",
        merge="earliest",
        bare=True,
    ),
)
