"""Tests of the verbs of what runs: each moves its own metric.

Invariant under test: said twice it is counted twice, and said of how something is it is as it was said.
It must not know when the verbs are called.
"""

import pytest

from metrics.recorder import Recorder
from metrics.verbs.running import Running
from tests.support.verbs import Try, moves, untried, value

TRIES = [
    Try(lambda r: r.connections("http", 7), "connections", 7.0, {"kind": "http"}, statement=True),
    Try(lambda r: r.websocket_closed(1000), "websocket_closes_total", 1.0, {"code": "1000"}),
    Try(lambda r: r.refused("memory"), "refusals_total", 1.0, {"reason": "memory"}),
    Try(lambda r: r.readiness([]), "ready", 1.0, statement=True),
    Try(lambda r: r.readiness(["redis away"]), "unready", 1.0, {"reason": "redis_away"}, statement=True),
    Try(lambda r: r.readiness(["draining"]), "draining", 1.0, statement=True),
    Try(lambda r: r.config_reloaded(1e9), "config_reloads_total", 1.0, {"result": "ok"}),
    Try(lambda r: r.config_reloaded(None), "config_reloads_total", 1.0, {"result": "refused"}),
    Try(lambda r: r.config_reloaded(1e9), "config_reload_timestamp_seconds", 1e9, statement=True),
    Try(lambda r: r.config_reloaded(None), "config_reload_ok", 0.0, statement=True),
    Try(lambda r: r.memory_mark(900), "memory_mark_bytes", 900.0, statement=True),
    Try(lambda r: r.certificate(2e9), "tls_certificate_expiry_timestamp_seconds", 2e9, statement=True),
    Try(lambda r: r.log_line("warning"), "log_lines_total", 1.0, {"level": "warning"}),
    Try(lambda r: r.log_lines_suppressed(5), "log_lines_suppressed_total", 5.0),
    Try(lambda r: r.log_lines_dropped(6), "log_lines_dropped_total", 6.0),
    Try(lambda r: r.worker_restarted("died"), "worker_restarts_total", 1.0, {"reason": "died"}),
    Try(lambda r: r.redis_answers(up=False), "redis_up", 0.0, statement=True),
    Try(lambda r: r.redis_command(0.5), "redis_command_seconds_sum", 0.5),
    Try(lambda r: r.cluster_nodes(3), "cluster_nodes", 3.0, statement=True),
    Try(lambda r: r.loop_lag(0.25), "event_loop_lag_seconds_sum", 0.25),
    Try(lambda r: r.tasks(7), "event_loop_tasks", 7.0, statement=True),
    Try(lambda r: r.process(1.5, 900, 12, 1024, 1e9), "process_cpu_seconds_total", 1.5, statement=True),
    Try(lambda r: r.process(1.5, 900, 12, 1024, 1e9), "process_resident_memory_bytes", 900.0, statement=True),
    Try(lambda r: r.process(1.5, 900, 12, 1024, 1e9), "process_open_fds", 12.0, statement=True),
    Try(lambda r: r.process(1.5, 900, 12, 1024, 1e9), "process_max_fds", 1024.0, statement=True),
    Try(lambda r: r.process(1.5, 900, 12, 1024, 1e9), "process_start_time_seconds", 1e9, statement=True),
]


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.name)
def test_each_verb_moves_its_metric(one: Try) -> None:
    """The sample is there with these labels; said again it moves by as much, or stays where it was set."""
    moves(one)


def test_every_verb_is_tried_here() -> None:
    """A verb that is added is added to these tests."""
    assert not untried(Running, TRIES)


@pytest.mark.parametrize("code", [999, 1004, 1015, 1016, 3000, 4000, 4299, 4300, -1])
def test_close_codes_of_clients_make_no_series(code: int) -> None:
    """Known codes have their own series; whatever else a client sends has one together."""
    recorder = Recorder()
    recorder.websocket_closed(code)
    assert value(recorder, "websocket_closes_total", code="other") == 1.0


def test_what_was_the_trouble_is_over() -> None:
    """Each reason has its own value, and goes back when it is not said any more."""
    recorder = Recorder()
    recorder.readiness(["redis away", "memory"])
    assert (value(recorder, "ready"), value(recorder, "draining")) == (0.0, 0.0)
    recorder.readiness(["memory", "draining"])
    reasons = ("redis_away", "memory", "draining", "connections")
    assert [value(recorder, "unready", reason=reason) for reason in reasons] == [0.0, 1.0, 1.0, 0.0]
    recorder.readiness([])
    assert [value(recorder, "unready", reason=reason) for reason in reasons] == [0.0] * 4
    assert value(recorder, "ready") == 1.0


def test_processor_time_never_goes_back() -> None:
    """Whatever the system says of it later."""
    recorder = Recorder()
    for seconds in (1.0, 3.0, 2.0, 3.5):
        recorder.process(seconds, 1, 1, 1, 1.0)
    assert value(recorder, "process_cpu_seconds_total") == 3.5
