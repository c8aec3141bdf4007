"""Tests of the recorder: each verb moves its own metric, and no caller can make series without end.

Invariant under test: recording never raises; tenants past the limit count as `other`; two recorders never mix. It must
not know when the verbs are called.
"""

import inspect
import platform
from collections.abc import Callable

import pytest

from metrics.catalogue import CATALOGUE
from metrics.recorder import Recorder

# A verb with what it is called with, and what stands on the page afterwards.
VERBS: list[tuple[Callable[[Recorder], None], str, dict[str, str], float]] = [
    (lambda r: r.stream_started(), "streams_active", {}, 1.0),
    (lambda r: r.stream_ended("m", "completed"), "streams_total", {"model": "m", "outcome": "completed"}, 1.0),
    (lambda r: r.stream_ended("m", "failed"), "streams_active", {}, -1.0),
    (lambda r: r.upstream_first_audio("m", 2.5), "upstream_first_audio_seconds_sum", {"model": "m"}, 2.5),
    (lambda r: r.upstream_received(4096), "upstream_bytes_total", {}, 4096.0),
    (lambda r: r.upstream_error("upstream_busy"), "upstream_errors_total", {"code": "upstream_busy"}, 1.0),
    (lambda r: r.upstream_retry(), "upstream_retries_total", {}, 1.0),
    (lambda r: r.relay_first_audio(0.25), "relay_first_audio_seconds_sum", {}, 0.25),
    (lambda r: r.relayed(0.5), "relay_latency_seconds_sum", {}, 0.5),
    (lambda r: r.written("websocket", "mp3", 3, 900), "frames_written_total", {"transport": "websocket"}, 3.0),
    (
        lambda r: r.written("websocket", "mp3", 3, 900),
        "egress_bytes_total",
        {"transport": "websocket", "codec": "mp3"},
        900.0,
    ),
    (lambda r: r.gap("lag"), "gaps_total", {"reason": "lag"}, 1.0),
    (lambda r: r.slow_listener("cut"), "slow_listeners_total", {"action": "cut"}, 1.0),
    (lambda r: r.listener_joined("http", "mp3"), "listeners", {"transport": "http", "codec": "mp3"}, 1.0),
    (lambda r: r.listener_joined("http", "mp3"), "listener_joins_total", {}, 1.0),
    (lambda r: r.listener_left("http", "mp3"), "listeners", {"transport": "http", "codec": "mp3"}, -1.0),
    (lambda r: r.websocket_closed(1000), "websocket_closes_total", {"code": "1000"}, 1.0),
    (lambda r: r.quota_rejected("acme", "rate"), "quota_rejections_total", {"tenant": "acme", "reason": "rate"}, 1.0),
    (lambda r: r.refused("memory"), "refusals_total", {"reason": "memory"}, 1.0),
    (
        lambda r: r.audio_seconds("acme", "settled", 12.5),
        "audio_seconds_total",
        {"tenant": "acme", "state": "settled"},
        12.5,
    ),
    (lambda r: r.transcoded("opus", 1.5, 0.02), "transcode_audio_seconds_total", {"codec": "opus"}, 1.5),
    (lambda r: r.transcoded("opus", 1.5, 0.02), "transcode_cpu_seconds_total", {"codec": "opus"}, 0.02),
    (lambda r: r.rendition_started("opus"), "renditions_active", {"codec": "opus"}, 1.0),
    (lambda r: r.rendition_ended("opus"), "renditions_active", {"codec": "opus"}, -1.0),
    (lambda r: r.worker_restarted("died"), "worker_restarts_total", {"reason": "died"}, 1.0),
    (lambda r: r.loop_lag(0.01), "event_loop_lag_seconds_sum", {}, 0.01),
]

# Verbs that say how something is, and not that something happened: said twice, it is no more.
STATEMENTS: list[tuple[Callable[[Recorder], None], str, dict[str, str], float]] = [
    (lambda r: r.upstream_concurrency(3, 20), "upstream_concurrency", {"state": "used"}, 3.0),
    (lambda r: r.upstream_concurrency(3, 20), "upstream_concurrency", {"state": "limit"}, 20.0),
]


def value(recorder: Recorder, name: str, **labels: str) -> float | None:
    return recorder.registry.get_sample_value(f"wavegate_{name}", labels)


@pytest.mark.parametrize(("verb", "name", "labels", "expected"), VERBS)
def test_each_verb_moves_its_metric(
    verb: Callable[[Recorder], None], name: str, labels: dict[str, str], expected: float
) -> None:
    """The sample is there with these labels; and a second call moves it again by as much."""
    recorder = Recorder()
    verb(recorder)
    assert value(recorder, name, **labels) == expected
    verb(recorder)
    assert value(recorder, name, **labels) == 2 * expected


@pytest.mark.parametrize(("verb", "name", "labels", "expected"), STATEMENTS)
def test_a_statement_is_the_same_when_repeated(
    verb: Callable[[Recorder], None], name: str, labels: dict[str, str], expected: float
) -> None:
    """The sample is what was said last."""
    recorder = Recorder()
    for _ in range(2):
        verb(recorder)
        assert value(recorder, name, **labels) == expected


def test_every_verb_is_tried_here() -> None:
    """A verb that is added to the recorder is added to these tests."""
    verbs = {name for name, _ in inspect.getmembers(Recorder, inspect.isfunction) if not name.startswith("_")}
    assert verbs == {name for verb, *_ in [*VERBS, *STATEMENTS] for name in verb.__code__.co_names}


def test_every_row_has_a_verb() -> None:
    """A metric that nothing records is not in the catalogue."""
    moved = {name.removesuffix("_total").removesuffix("_sum") for _, name, *_ in [*VERBS, *STATEMENTS]}
    assert {row.name for row in CATALOGUE} - moved == {"build_info"}


def test_tenants_past_the_limit_are_other() -> None:
    """The first tenants have names, the rest share one; who has a name keeps it."""
    recorder = Recorder(max_tenants=2)
    for tenant in ("a", "b", "c", "d", "a"):
        recorder.audio_seconds(tenant, "settled", 1.0)
        recorder.quota_rejected(tenant, "rate")
    seconds = {tenant: value(recorder, "audio_seconds_total", tenant=tenant, state="settled") for tenant in "abcd"}
    assert seconds == {"a": 2.0, "b": 1.0, "c": None, "d": None}
    assert value(recorder, "audio_seconds_total", tenant="other", state="settled") == 2.0
    assert value(recorder, "quota_rejections_total", tenant="other", reason="rate") == 2.0


def test_no_tenant_at_all_may_have_a_name() -> None:
    """A limit of 0 names nobody."""
    recorder = Recorder(max_tenants=0)
    recorder.quota_rejected("a", "rate")
    assert value(recorder, "quota_rejections_total", tenant="other", reason="rate") == 1.0


@pytest.mark.parametrize(
    ("code", "label"),
    [
        (1000, "1000"),
        (1015, "1015"),
        (4000, "4000"),
        (4299, "4299"),
        (999, "other"),
        (1016, "other"),
        (3000, "other"),
        (4300, "other"),
        (-1, "other"),
    ],
)
def test_close_codes_of_clients_make_no_series(code: int, label: str) -> None:
    """Known codes have their own series; whatever else a client sends has one together."""
    recorder = Recorder()
    recorder.websocket_closed(code)
    assert value(recorder, "websocket_closes_total", code=label) == 1.0


def test_the_version_is_told() -> None:
    """`build_info` is 1 under the version that runs and the Python it runs on."""
    assert value(Recorder(version="9.9"), "build_info", version="9.9", python=platform.python_version()) == 1.0


def test_recorders_do_not_mix() -> None:
    """Two gateways in one process have their own numbers."""
    one, other = Recorder(), Recorder()
    one.stream_started()
    assert (value(one, "streams_active"), value(other, "streams_active")) == (1.0, 0.0)


@pytest.mark.parametrize("seconds", [-1.0, float("inf")])
def test_recording_never_raises(seconds: float) -> None:
    """Nonsense from outside may make a number wrong, but never ends what was being recorded."""
    recorder = Recorder()
    recorder.audio_seconds("acme", "settled", seconds)
    recorder.upstream_first_audio("m", seconds)
    recorder.relayed(seconds)
    recorder.loop_lag(seconds)
