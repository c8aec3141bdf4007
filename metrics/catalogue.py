"""Every metric Wavegate exports, one row each: the name without its prefix, kind, help, labels, buckets.

Invariant: label values come from closed sets (codecs, transports, close codes, error codes, configured tenants up to
a limit); no stream, session, address or prompt is ever a label. Each row says in a word what several processes' values
make together. The table knows nothing of who records.
"""

from dataclasses import dataclass
from typing import Literal

PREFIX = "wavegate"

# A relay step is tens of microseconds on a quiet machine and must show a bad day of whole seconds.
RELAY_BUCKETS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
# A song may take minutes to begin.
GENERATION_BUCKETS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 20.0, 40.0, 60.0, 120.0, 300.0, 600.0)


@dataclass(frozen=True, slots=True)
class Row:
    """One metric. A counter's name has no `_total`: the exposition format adds it.

    `merge` is what the values of several processes make: their sum, the largest, or `used_of_limit`, which is the sum
    of what each uses beside the largest limit, since the limit is one for all. Counters and histograms are added.
    """

    name: str
    kind: Literal["counter", "gauge", "histogram"]
    help: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()
    merge: Literal["sum", "max", "used_of_limit"] = "sum"


CATALOGUE: tuple[Row, ...] = (
    Row("streams", "counter", "Streams that ended, by outcome.", ("model", "outcome")),
    Row("streams_active", "gauge", "Streams being generated now."),
    Row("listeners", "gauge", "Listeners attached now.", ("transport", "codec")),
    Row("listener_joins", "counter", "Listeners that attached."),
    Row("websocket_closes", "counter", "WebSocket connections closed, by close code.", ("code",)),
    Row(
        "upstream_first_audio_seconds",
        "histogram",
        "Request sent to the provider until its first audio byte.",
        ("model",),
        GENERATION_BUCKETS,
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
    Row("upstream_bytes", "counter", "Audio bytes received from the provider."),
    Row("egress_bytes", "counter", "Audio bytes written to listeners.", ("transport", "codec")),
    Row("frames_written", "counter", "Chunks written to listeners.", ("transport",)),
    Row("gaps", "counter", "Gaps announced to listeners, by reason.", ("reason",)),
    Row("slow_listeners", "counter", "What was done about slow listeners.", ("action",)),
    Row("upstream_errors", "counter", "Generations the provider failed, by our code.", ("code",)),
    Row("upstream_retries", "counter", "Generations asked for again after the provider failed them."),
    Row(
        "upstream_concurrency",
        "gauge",
        "Generations at the provider at once: used now, limit learned.",
        ("state",),
        merge="used_of_limit",
    ),
    Row("quota_rejections", "counter", "Requests refused by a limit.", ("tenant", "reason")),
    Row(
        "refusals",
        "counter",
        "New connections and requests refused, by what is full; late were cut for saying nothing.",
        ("reason",),
    ),
    Row("audio_seconds", "counter", "Seconds of generated audio by state of the bill.", ("tenant", "state")),
    Row("transcode_cpu_seconds", "counter", "Processor time spent on encoding.", ("codec",)),
    Row("transcode_audio_seconds", "counter", "Seconds of audio that were encoded.", ("codec",)),
    Row("renditions_active", "gauge", "Encodes that are being made now.", ("codec",)),
    Row("event_loop_lag_seconds", "histogram", "How late a timer of the event loop fires.", (), RELAY_BUCKETS),
    Row("worker_restarts", "counter", "Worker processes that were started in place of another.", ("reason",)),
    Row("build_info", "gauge", "The running version; always 1.", ("version", "python"), merge="max"),
)
