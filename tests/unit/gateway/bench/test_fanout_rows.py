"""Sittings of the test's own as rows.

Invariant under test: medians are told, ratios are of one round, and whatever was lost is said.
It must not measure.
"""

from gateway.bench.fanout_rows import (
    cost,
    counted,
    frame_us,
    http_rows,
    named,
    ratio,
    right,
    streams_rows,
    websocket_rows,
)
from gateway.bench.gathering import Sitting, Size


def sitting(
    listeners: int,
    us: float,
    *,
    door: str = "websocket",
    streams: int = 1,
    wrong: int = 0,
    crowd: float = 0.1,
    late: float = 0.0,
) -> Sitting:
    """Of a thousand frames of a KiB."""
    return Sitting(
        size=Size(door, listeners, streams),  # type: ignore[arg-type]  # one of the doors
        frames=1000,
        sent=1 << 20,
        cpu=us / 1e3,
        wall=1.0,
        spreads=[0.01, 0.02 + late, 0.3 + late],
        crowd_cpu=crowd,
        memory=8192.0,
        wrong=wrong,
        words="chunk 3 was lost" if wrong else "",
        heard=5000,
        counted=5000 - wrong,
        scrape=0.0125,
    )


def test_sizes_have_names() -> None:
    """For progress and for rows."""
    assert named(Size("http", 3)) == "3 listeners over HTTP"
    assert named(Size("websocket", 100, 20)) == "100 listeners of 20 streams over WebSocket"


def test_over_websocket() -> None:
    """The medians of each size, what they have to do with each other, and the largest one."""
    found = [[sitting(2, 10.0), sitting(2, 12.0), sitting(2, 90.0)], [sitting(20, 10.0)] * 3]
    rows = {row.name: row for row in websocket_rows(found)}
    assert rows["a frame, 2 listeners"].value == 12.0
    assert rows["dearest by cheapest number"].value == 1.2
    assert rows["dearest by cheapest number"].verdict == "over"
    assert (rows["a chunk to all 20"].value, rows["a chunk to all 20"].verdict) == (300.0, "over")
    assert "20 is usual" in rows["a chunk to all 20"].spread
    assert (rows["the page of metrics"].value, rows["the page of metrics"].verdict) == (12.5, "ok")
    assert (rows["memory of a listener"].value, rows["memory of a listener"].verdict) == (8.0, "ok")
    assert (rows["lost or wrong"].verdict, rows["lost or wrong"].spread) == ("ok", "66 heard every byte of a song")


def test_over_http() -> None:
    """A KiB by a KiB."""
    rows = {row.name: row for row in http_rows([[sitting(2, 10.0)], [sitting(2, 11.0, door="http")]])}
    assert (rows["HTTP by WebSocket"].value, rows["HTTP by WebSocket"].verdict) == (1.1, "ok")
    assert rows["a KiB over HTTP"].value == 11.0 / 1024 * 1000


def test_of_many_streams() -> None:
    """A frame by a frame."""
    rows = {row.name: row for row in streams_rows([[sitting(20, 10.0)], [sitting(20, 13.0, streams=5)]])}
    assert (rows["many streams by one"].value, rows["many streams by one"].verdict) == (1.3, "over")
    assert rows["a frame, 5 streams"].value == 13.0


def test_ratios_are_of_one_round() -> None:
    """Their median is judged, not the ratio of the medians."""
    row = ratio("a", [sitting(1, 1.0), sitting(1, 8.0), sitting(1, 3.0)], [sitting(1, 2.0)] * 3, frame_us, None, "b")
    assert (row.value, row.spread, row.verdict) == (1.5, "0.50 to 4.00; b", "")


def test_what_is_lost_is_said() -> None:
    """With the first words."""
    row = right([sitting(2, 1.0), sitting(2, 1.0, wrong=3)])
    assert (row.value, row.verdict, row.spread) == (3, "over", "chunk 3 was lost")


def test_a_crowd_that_cannot_follow_is_told() -> None:
    """Beside the figure, which is then its own."""
    assert cost("a", [sitting(2, 1.0, crowd=0.95)], frame_us).spread.endswith("crowd 95%, the bottleneck")
    late = cost("a", [sitting(2, 1.0, late=0.2)], frame_us).spread
    assert late.endswith("crowd 10%; late, so chunks went out together")
    assert cost("a", [sitting(2, 1.0)], frame_us).spread.endswith("server 0% of a processor, crowd 10%")


def test_what_the_metrics_miscount_is_told() -> None:
    """In frames, whichever is more; and each part that plays to a gateway has the row."""
    sittings = [sitting(2, 10.0), sitting(2, 10.0, wrong=3)]
    row = counted(sittings)
    assert (row.value, row.verdict) == (3, "over")
    assert row.spread == "the gateway's metrics by the 10000 that came"
    for rows in (websocket_rows([sittings, sittings]), http_rows([sittings, sittings]), streams_rows([sittings] * 2)):
        assert "frames miscounted" in [one.name for one in rows]
