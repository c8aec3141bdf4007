"""Tests of the verbs of what is heard: each moves its own metric.

Invariant under test: said twice it is counted twice, and said of how something is it is as it was said.
It must not know when the verbs are called.
"""

import pytest

from metrics.recorder import Recorder
from metrics.verbs.hearing import Hearing
from tests.support.verbs import Try, moves, untried, value

WEBSOCKET = {"transport": "websocket"}
HTTP_MP3 = {"transport": "http", "codec": "mp3"}
TRIES = [
    Try(lambda r: r.stream_started(), "streams_active", 1.0),
    Try(lambda r: r.stream_ended("m", "completed"), "streams_total", 1.0, {"model": "m", "outcome": "completed"}),
    Try(lambda r: r.stream_ended("m", "failed"), "streams_active", -1.0),
    Try(lambda r: r.stream_stalled("m", "still"), "stream_stalls_total", 1.0, {"model": "m", "kind": "still"}),
    Try(lambda r: r.streams_stalled("still", 3), "streams_stalled", 3.0, {"kind": "still"}, statement=True),
    Try(lambda r: r.retained(3, 900), "retained_streams", 3.0, statement=True),
    Try(lambda r: r.retained(3, 900), "retained_bytes", 900.0, statement=True),
    Try(lambda r: r.listener_joined("http", "mp3"), "listeners", 1.0, HTTP_MP3),
    Try(lambda r: r.listener_joined("http", "mp3"), "listener_joins_total", 1.0),
    Try(lambda r: r.listener_left("http", "mp3", "lost"), "listeners", -1.0, HTTP_MP3),
    Try(
        lambda r: r.listener_left("http", "mp3", "lost"),
        "listener_departures_total",
        1.0,
        {"transport": "http", "reason": "lost"},
    ),
    Try(lambda r: r.listened("websocket", 2.5), "listener_seconds_total", 2.5, WEBSOCKET),
    Try(lambda r: r.lagging(0.5, 4), "listener_lag_seconds_count", 4.0),
    Try(lambda r: r.lagging(0.5, 4), "listener_lag_seconds_sum", 2.0),
    Try(lambda r: r.relay_first_audio(0.25), "relay_first_audio_seconds_sum", 0.25),
    Try(lambda r: r.relayed(0.5), "relay_latency_seconds_sum", 0.5),
    Try(lambda r: r.written("websocket", "mp3", 3, 900), "frames_written_total", 3.0, WEBSOCKET),
    Try(lambda r: r.written("http", "mp3", 3, 900), "egress_bytes_total", 900.0, HTTP_MP3),
    Try(lambda r: r.gap("lag"), "gaps_total", 1.0, {"reason": "lag"}),
    Try(lambda r: r.slow_listener("cut"), "slow_listeners_total", 1.0, {"action": "cut"}),
]


@pytest.mark.parametrize("one", TRIES, ids=lambda one: one.name)
def test_each_verb_moves_its_metric(one: Try) -> None:
    """The sample is there with these labels; said again it moves by as much, or stays where it was set."""
    moves(one)


def test_every_verb_is_tried_here() -> None:
    """A verb that is added is added to these tests."""
    assert not untried(Hearing, TRIES)


def test_nobody_lags_where_nobody_is() -> None:
    """Of no listeners nothing is observed."""
    recorder = Recorder()
    recorder.lagging(0.5, 0)
    assert value(recorder, "listener_lag_seconds_count") == 0.0
