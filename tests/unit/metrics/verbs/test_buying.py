"""Tests of the verbs of what is bought: each moves its own metric.

Invariant under test: said twice it is counted twice, and said of how something is it is as it was said.
It must not know when the verbs are called.
"""

import pytest

from metrics.recorder import Recorder
from metrics.verbs.buying import Buying
from tests.support.verbs import Try, moves, untried, value

OPUS = {"codec": "opus"}
SETTLE = {"operation": "settle"}
TRIES = [
    Try(lambda r: r.upstream_first_audio("m", 2.5), "upstream_first_audio_seconds_sum", 2.5, {"model": "m"}),
    Try(lambda r: r.upstream_received(4096), "upstream_bytes_total", 4096.0),
    Try(lambda r: r.upstream_sang(1.5), "upstream_audio_seconds_total", 1.5),
    Try(lambda r: r.upstream_error("upstream_busy"), "upstream_errors_total", 1.0, {"code": "upstream_busy"}),
    Try(lambda r: r.upstream_retry(), "upstream_retries_total", 1.0),
    Try(lambda r: r.upstream_concurrency(3, 20), "upstream_concurrency", 3.0, {"state": "used"}, statement=True),
    Try(lambda r: r.upstream_concurrency(3, 20), "upstream_concurrency", 20.0, {"state": "limit"}, statement=True),
    Try(lambda r: r.upstream_queue(4), "upstream_queue", 4.0, statement=True),
    Try(lambda r: r.upstream_waited(0.5), "upstream_queue_seconds_sum", 0.5),
    Try(lambda r: r.upstream_circuit(is_open=True), "upstream_circuit_open", 1.0, statement=True),
    Try(
        lambda r: r.quota_rejected("acme", "rate_exceeded"),
        "quota_rejections_total",
        1.0,
        {"tenant": "acme", "reason": "rate_exceeded"},
    ),
    Try(
        lambda r: r.audio_seconds("acme", "settled", 12.5),
        "audio_seconds_total",
        12.5,
        {"tenant": "acme", "state": "settled"},
    ),
    Try(lambda r: r.cost("acme", 0.75), "cost_total", 0.75, {"tenant": "acme"}),
    Try(lambda r: r.ledger_step("settle", 0.5, failed=True), "ledger_seconds_sum", 0.5, SETTLE),
    Try(lambda r: r.ledger_step("settle", 0.5, failed=True), "ledger_errors_total", 1.0, SETTLE),
    Try(lambda r: r.transcoded("opus", 1.5, 0.02), "transcode_audio_seconds_total", 1.5, OPUS),
    Try(lambda r: r.transcoded("opus", 1.5, 0.02), "transcode_cpu_seconds_total", 0.02, OPUS),
    Try(lambda r: r.rendition_started("opus"), "renditions_active", 1.0, OPUS),
    Try(lambda r: r.rendition_ended("opus"), "renditions_active", -1.0, OPUS),
    Try(lambda r: r.codec_workers(3, 96), "codec_workers", 3.0, statement=True),
    Try(lambda r: r.codec_workers(3, 96), "renditions_limit", 96.0, statement=True),
    Try(lambda r: r.codec_worker_ended("hung"), "codec_worker_restarts_total", 1.0, {"reason": "hung"}),
    Try(lambda r: r.codec_workers_used(0.5, 900), "codec_worker_cpu_seconds_total", 0.5),
    Try(lambda r: r.codec_workers_used(0.5, 900), "codec_worker_memory_bytes", 900.0, statement=True),
]


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.name)
def test_each_verb_moves_its_metric(one: Try) -> None:
    """The sample is there with these labels; said again it moves by as much, or stays where it was set."""
    moves(one)


def test_every_verb_is_tried_here() -> None:
    """A verb that is added is added to these tests."""
    assert not untried(Buying, TRIES)


def test_a_step_that_was_taken_is_no_error() -> None:
    """It is measured, and that is all."""
    recorder = Recorder()
    recorder.ledger_step("settle", 0.5, failed=False)
    assert value(recorder, "ledger_seconds_count", operation="settle") == 1.0
    assert value(recorder, "ledger_errors_total", operation="settle") == 0.0
