"""The labels of all metrics, and which values each may take.

Invariant: a label has a bounded number of values with series of their own: those listed here, which are there from the
start so that a first event is seen as a rise from 0, and a few that are not; past them all count as `other`.
It must not know which metrics have them.
"""

from dataclasses import dataclass

OTHER = "other"


@dataclass(frozen=True, slots=True)
class Label:
    """`values` are those that are known. `spare` others get series of their own, too: as many tenants as are to be
    named if None, and else enough that a reason that is new in the code is seen. `meaning` is for people.
    """

    name: str
    values: tuple[str, ...] = ()
    meaning: str = ""
    spare: int | None = 2

    def most(self, max_tenants: int) -> int:
        """How many values get series of their own."""
        return len(self.values) + (max_tenants if self.spare is None else self.spare)


TENANT = Label("tenant", meaning="a configured tenant; past `metrics.max_tenant_labels` all are `other`", spare=None)
MODEL = Label("model", meaning="a model of the provider's", spare=32)
VERSION = Label("version", meaning="Wavegate's")
PYTHON = Label("python", meaning="the interpreter's")
CLOSE_CODE = Label(
    "code",
    (
        *(
            "1000",
            "1001",
            "1002",
            "1003",
            "1005",
            "1006",
            "1007",
            "1008",
            "1009",
            "1010",
            "1011",
            "1012",
            "1013",
            "1014",
        ),
        *("4001", "4003", "4004", "4005", "4008", "4010"),
        *("4100", "4101", "4102", "4103", "4104", "4200", "4201", "4203"),
    ),
    "the code that was sent first, ours or the client's; 1006 is none; what clients make up is `other`",
    spare=0,
)
UPSTREAM_CODE = Label(
    "code",
    (
        "content_rejected",
        "upstream_busy",
        "upstream_empty",
        "upstream_failed",
        "upstream_interrupted",
        "upstream_protocol",
        "upstream_refused",
        "upstream_timeout",
        "upstream_unavailable",
    ),
    "the error's code, as clients see it",
)
TRANSPORT = Label("transport", ("websocket", "http", "hls"), "the door by which it is heard")
CODEC = Label("codec", ("mp3", "pcm", "opus", "aac", "flac"))
OUTCOME = Label("outcome", ("completed", "failed", "cancelled"))
DEPARTURE = Label(
    "reason",
    ("completed", "left", "lost", "slow", "failed", "moved", "refused"),
    "`completed` heard the end, `left` of its own will, `lost` its connection, `slow` was cut because it took nothing, "
    "`failed` heard a song that broke or met a fault of ours, `moved` was sent to another node, `refused` was sent "
    "away for its quota or credentials",
)
GAP = Label(
    "reason",
    ("lag", "retention", "corrupt"),
    "a `live` listener was behind, what it wanted is no longer kept, the provider sent something that was no audio",
)
ACTION = Label("action", ("cut", "skip"))
STALL = Label("kind", ("still", "silence"), "nothing comes; what comes is digital silence")
USE = Label("state", ("used", "limit"))
LIMIT = Label(
    "reason",
    (
        "concurrency_exceeded",
        "rate_exceeded",
        "quota_exceeded",
        "listeners",
        "egress",
        "connections",
    ),
    "streams at once, streams a minute, seconds of audio; listeners, their bytes a day, WebSockets",
)
BILL = Label("state", ("reserved", "settled", "refunded"))
LEDGER = Label(
    "operation",
    ("reserve", "withdraw", "begin", "renew", "extend", "settle", "heard", "sweep", "remaining", "read"),
)
WORKER_END = Label("reason", ("died", "hung", "not_started"))
CONNECTION = Label("kind", ("websocket", "http"), "`http` are requests, progressive listeners and kept-alive ones")
FULL = Label(
    "reason",
    ("connections", "memory", "late", "address_connections", "address_rate", "credentials", "frames", "talk"),
    "no room for connections or in memory, cut for being late; what one address may have: connections, how fast they "
    "and requests may come, wrong credentials; how fast the frames of a WebSocket may come; how much one may say at "
    "once while others wait",
)
UNREADY = Label(
    "reason",
    (
        "draining",
        "redis_away",
        "connections",
        "memory",
        "upstream_circuit_open",
        "upstream_account_not_shared",
    ),
    "as /readyz says it",
)
RESULT = Label("result", ("ok", "refused"))
LEVEL = Label("level", ("debug", "info", "warning", "error", "critical"))
RESTART = Label("reason", ("died", "replaced"))
