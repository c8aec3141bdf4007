"""The configuration schema: the one place where a setting is written down.

A key is one annotated attribute: its type with bounds, the sentence that documents it, marks, and its default. The
loader, the documented YAML, the environment names and the error paths are all derived from that through `keys_of`.
Times are seconds, sizes are bytes. Unknown keys are errors.
The section `server` has a file of its own. It must not know where values come from, nor what they are used for
beyond the sentence that documents them.
"""

from typing import Annotated, Literal

from msgspec import field

from gateway.config.kinds import (
    LIVE,
    SECRET,
    Abandon,
    AtLeastOne,
    Count,
    HttpUrl,
    KeyHash,
    Money,
    Origin,
    RedisUrl,
    Seconds,
    SecondsOrNever,
    StoreUrl,
    TenantName,
    UrlPath,
    Weight,
    WorkspaceId,
)
from gateway.config.section import Section
from gateway.config.server import Server


class SpeechAlias(Section, frozen=True):
    """What a name for a model means at /v1/audio/speech."""

    model: Annotated[str, "The model that is used, and billed."]
    voices: Annotated[dict[str, str], "Names for its voices; a voice that is not among them has its own name."] = field(
        default_factory=dict
    )


class Upstream(Section, frozen=True):
    """The provider. Its key comes from DASHSCOPE_API_KEY or from api_key_file and never leaves the server."""

    base_url: Annotated[HttpUrl, "Scheme and host of DashScope. Fun-Music is served from Beijing only."] = (
        "https://dashscope.aliyuncs.com"
    )
    workspace_id: Annotated[
        WorkspaceId | None, "A workspace's id, such as llm-xxx: its own host is used in place of base_url."
    ] = None
    path: Annotated[
        UrlPath, "Path of the call for songs; the older /api/v1/services/audio/tts/SpeechSynthesizer also works here."
    ] = "/api/v1/services/audio/music/generation"
    api_key_file: Annotated[
        str | None, "File that holds the provider key; a changed file is used by the next generation.", SECRET
    ] = None
    model: Annotated[Literal["fun-music-v1", "fun-music-preview"], "Model of a request that names none."] = (
        "fun-music-v1"
    )
    speech_aliases: Annotated[
        dict[str, SpeechAlias],
        "Names for models at /v1/audio/speech, for clients that ask for OpenAI's, which are refused without one: "
        "tts-1: {model: cosyvoice-v3-flash, voices: {alloy: longanyang}}.",
    ] = field(default_factory=dict)
    requests_per_minute: Annotated[
        AtLeastOne, "Generations the account may start in a minute, all keys and nodes together."
    ] = 180
    max_concurrency: Annotated[
        AtLeastOne, "Generations at once, over all nodes; lowered by itself while the provider says it is full."
    ] = 20
    max_queue: Annotated[
        AtLeastOne, "Generations that may wait at each node for their turn at the provider; more are refused at once."
    ] = 256
    max_queue_per_tenant: Annotated[AtLeastOne, "The same for a single tenant. Waiting tenants take turns."] = 64
    max_queue_seconds: Annotated[Seconds, "Longest wait for a turn; then the generation is refused."] = 120.0
    retry_attempts: Annotated[
        Count, "How often a generation that failed before its first sound is tried again; 0 is never."
    ] = 3
    retry_seconds: Annotated[Seconds, "The last of these tries begins within this time of the first."] = 60.0
    circuit_failures: Annotated[
        AtLeastOne,
        "Failures of the provider in a row after which it is given a pause, and new generations are refused. Songs "
        "without any sound, which a text may be chosen for, count for their tenant alone.",
    ] = 5
    circuit_seconds: Annotated[Seconds, "How long that pause is; then one generation tries whether it is over."] = 15.0
    connect_timeout: Annotated[Seconds, "Until the connection to the provider stands."] = 5.0
    first_event_timeout: Annotated[Seconds, "Until the provider's first byte; a song may take minutes to begin."] = (
        300.0
    )
    idle_timeout: Annotated[
        Seconds, "Longest silence between two bytes of a running generation; comments count as bytes."
    ] = 60.0
    record_dir: Annotated[
        str | None, "Folder in which every raw answer of the provider is kept, without secrets, to be played back."
    ] = None
    generation_timeout: Annotated[Seconds, "Longest time for one song, all tries together, once its turn has come."] = (
        1800.0
    )
    max_event_bytes: Annotated[
        AtLeastOne, "Largest single event the provider may send; more ends the generation with an error."
    ] = 16777216
    audio_hosts: Annotated[
        list[str],
        "Hosts that result urls may point to; nothing is ever fetched from anywhere else. Names that a * stands for "
        "have to lead to public addresses: write out those of your own network.",
    ] = field(default_factory=lambda: ["*.aliyuncs.com"])


class Relay(Section, frozen=True):
    """What is kept of a song, and for how long."""

    retain_seconds: Annotated[Seconds, "A finished stream can be joined from its start for this long."] = 3600.0
    retain_bytes: Annotated[
        AtLeastOne, "Memory for finished streams; beyond it the least recently heard are forgotten first."
    ] = 536870912
    max_stream_bytes: Annotated[
        AtLeastOne, "Largest stream kept whole (200 s: mp3 8 MB, wav 38 MB); past it the oldest audio goes."
    ] = 134217728
    live_lag: Annotated[
        Seconds, "A listener with on_lag live that falls behind by more than this jumps to the live edge."
    ] = 5.0
    stall_timeout: Annotated[Seconds, "A listener whose connection takes no byte for this long is cut with 4102."] = (
        60.0
    )
    silence_seconds: Annotated[
        SecondsOrNever,
        "A song that stands still, or is digital silence, for this long is counted and told; 0 is never.",
    ] = 10.0


class Transcode(Section, frozen=True):
    """Conversion between formats."""

    workers: Annotated[
        Count | None,
        "Processes that encode; 0 encodes in threads of the gateway. null is one less than there are processors.",
    ] = None
    max_encodings: Annotated[
        AtLeastOne,
        "Formats that may be in the making at once in each of them; more are refused for the moment. A tenant that has "
        "half of all leaves the last fifth to others.",
    ] = 50
    max_formats: Annotated[
        AtLeastOne, "Formats of one stream at once, beside the provider's own; then the oldest that nobody hears goes."
    ] = 12
    keep_seconds: Annotated[
        Seconds, "A format that is not whole and that nobody hears is given up after this time."
    ] = 10.0
    clip_workers: Annotated[AtLeastOne, "Processes that cut clips."] = 1
    max_clips: Annotated[
        AtLeastOne,
        "Clips that may wait or be cut at once, half of them for one tenant; more are refused for the moment.",
    ] = 8
    max_clip_seconds: Annotated[Seconds, "Longest clip."] = 600.0


class Limits(Section, frozen=True):
    """What one tenant may use; 0 means no limit."""

    concurrent_streams: Annotated[Count, "Generations at the same time."] = 5
    streams_per_minute: Annotated[Count, "Generations started in any minute."] = 30
    audio_seconds_per_day: Annotated[Count, "Seconds of generated audio a day."] = 36000
    audio_seconds_per_month: Annotated[Count, "Seconds of generated audio a month."] = 600000
    egress_bytes_per_day: Annotated[Count, "Bytes sent to listeners a day."] = 0
    listeners: Annotated[Count, "Listeners at the same time, over all streams and doors."] = 20000
    connections: Annotated[Count, "WebSocket connections at the same time."] = 20000


class Tenant(Section, frozen=True):
    """One customer of this gateway."""

    id: Annotated[TenantName, "Short name: it stands in metrics and logs."]
    keys: Annotated[
        list[KeyHash], "Hex SHA-256 of each key; `wavegate keys new TENANT` makes a key and its hash.", SECRET
    ] = field(default_factory=list)
    allowed_origins: Annotated[
        list[Origin], "Web origins whose pages may connect; a connection without an Origin header is not a page."
    ] = field(default_factory=list)
    abandon: Annotated[
        Abandon, "When the last listener has left: finish, cancel, or a grace time such as 30s; an order may differ."
    ] = "finish"
    weight: Annotated[Weight, "Share of the provider while tenants wait for it: 2 is admitted twice as often as 1."] = (
        1.0
    )
    limits: Limits = Limits()


class Price(Section, frozen=True):
    """What one model costs, in a currency of yours."""

    per_second: Annotated[Money, "For a second of audio."] = 0.0
    per_character: Annotated[Money, "For a character of text, where the provider counts those."] = 0.0


class Quota(Section, frozen=True):
    """Where usage is accounted, and how generations are reserved."""

    store: Annotated[
        StoreUrl,
        "The place of the ledger: sqlite:///FILE is kept, memory: is forgotten at a restart, redis://HOST is for many "
        "processes. Those of one cluster keep it at cluster.redis_url, unless this names another Redis.",
        SECRET,
    ] = "sqlite:///usage.db"
    prices: Annotated[
        dict[str, Price], "What models cost, by name, for the ledger's `cost`: fun-music-v1: {per_second: 0.002}."
    ] = field(default_factory=dict)
    estimate_seconds: Annotated[
        Seconds,
        "What is reserved for a song of a model of which nobody has had one yet, later what theirs took; for a song in "
        "mode file, which cannot be ended early, always this, or it is refused.",
    ] = 240.0
    minimum_seconds: Annotated[
        Seconds,
        "A tenant with less than this left of a budget starts nothing; with more, a song that uses up the rest.",
    ] = 10.0
    budget_end: Annotated[
        Literal["stop", "fade"],
        "When a budget ends while a song is made: stop at a whole frame, or fade out over the last 3 seconds.",
    ] = "stop"
    lease_seconds: Annotated[
        Seconds, "A generation whose owner has not renewed its slot for this long gives it back."
    ] = 60.0


class Cluster(Section, frozen=True):
    """Several processes or machines as one gateway."""

    redis_url: Annotated[
        RedisUrl | None,
        "redis://... (Redis 7 or Valkey) makes workers and nodes one gateway: any of them serves any stream.",
        SECRET,
    ] = None
    when_redis_is_away: Annotated[
        Literal["refuse", "alone"],
        "refuse answers new work with 503 until it is back; alone lets each process go on by itself, with limits of "
        "its own, and books it there afterwards. Who hears goes on hearing either way.",
    ] = "refuse"


class Metrics(Section, frozen=True):
    """What Prometheus may see."""

    max_tenant_labels: Annotated[
        Count, "Tenants named in metrics; those beyond count as `other`, so the number of series is bounded."
    ] = 100


class Log(Section, frozen=True):
    """What is written to standard error."""

    level: Annotated[Literal["debug", "info", "warning", "error"], "Least severity that is written.", LIVE] = "info"
    format: Annotated[Literal["console", "json"], "console for people, json for machines."] = "console"
    prompts: Annotated[
        bool, "Whether the beginning of prompts, lyrics and texts is written; otherwise only how long they are."
    ] = False
    traces_endpoint: Annotated[
        HttpUrl | None,
        "A collector of OpenTelemetry, for a trace a generation by OTLP over HTTP: http://HOST:4318. It takes "
        "`pip install wavegate[otel]`; null is no traces, whatever OTEL_* variables say.",
    ] = None


class Config(Section, frozen=True):
    """The whole file."""

    server: Server = Server()
    upstream: Upstream = Upstream()
    relay: Relay = Relay()
    transcode: Transcode = Transcode()
    tenants: Annotated[list[Tenant], "Who may use this gateway.", LIVE] = field(default_factory=list)
    quota: Quota = Quota()
    cluster: Cluster = Cluster()
    metrics: Metrics = Metrics()
    log: Log = Log()
