"""A cluster's figures as rows, from sittings and counts of the test's own.

Invariant under test: ratios are of one round, and what nodes send without a stream is not a stream's.
It must not measure.
"""

from gateway.bench.cluster_rows import Asked, Turn, command_rows, latency_rows, worker_rows
from tests.unit.gateway.bench.test_fanout_rows import sitting


def turns(*us: float) -> list[Turn]:
    return [Turn(sitting(4, one), 0.05) for one in us]


def test_two_workers_carry_twice_where_a_frame_costs_the_same() -> None:
    """The median of the rounds' ratios, what sharing takes in all, and Redis beside it."""
    rows = {row.name: row for row in worker_rows(turns(10.0, 10.0, 12.0), turns(10.0, 12.5, 20.0))}
    carry = rows["two workers carry"]
    assert (carry.value, carry.verdict, carry.spread) == (1.6, "below", "1.20 to 2.00; as many listeners as one")
    # 2.5 us more for each of 1,000 frames in a second.
    assert rows["sharing takes"].value == 0.25
    assert rows["Redis takes"].value == 5.0
    assert rows["a frame, one process"].value == 10.0
    assert rows["a frame, two workers"].value == 12.5
    assert rows["lost or wrong"].verdict == "ok"
    assert worker_rows(turns(10.0), turns(11.0))[2].verdict == "ok"


def test_what_the_way_adds() -> None:
    """Half and nearly all of the chunks are judged; a ping is told."""
    rows = latency_rows([0.001] * 98 + [0.02] * 2, [0.0005])
    assert [(row.value, row.verdict) for row in rows] == [(1.0, "ok"), (20.0, "over"), (0.5, "")]


def test_a_streams_commands_are_those_beyond_the_nodes_own() -> None:
    """Nothing is judged of nodes alone; the names of what is sent most are told."""
    idle = Asked(0, {"evalsha": 10}, 60, 2.0)
    rows = command_rows(idle, Asked(1, {"evalsha": 12, "xadd": 16, "xread": 8, "get": 1}, 100, 2.0), idle)
    assert [(row.value, row.verdict) for row in rows] == [(5.0, ""), (13.5, "ok"), (0.0, "ok")]
    assert rows[1].spread == "50/s done; xadd 8.0, evalsha 6.0, xread 4.0"
