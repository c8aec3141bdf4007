"""Gathering: when it is tried again, and what is said of what was found.

Invariant under test: a machine that is too slow is given a longer song, and then up; whoever is missing is counted.
It must not start processes: the benches' own tests gather in earnest.
"""

import math
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from gateway.bench import gathering
from gateway.bench.benches import BenchError
from gateway.bench.crowd import orders
from gateway.bench.gathering import Sitting, Size, faults, gather, gauge, mistakes, typical
from gateway.bench.stage import LONGEST, Missing, Stage

HERE = Stage("http://x", 0, frozenset({1}))


@pytest.fixture(autouse=True)
def _nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither a server nor a crowd."""

    @asynccontextmanager
    async def nothing(*rest: object) -> AsyncIterator[None]:
        yield None

    monkeypatch.setattr(gathering, "server", nothing)
    monkeypatch.setattr(gathering, "crowd", nothing)


async def test_who_is_late_gets_a_longer_song() -> None:
    """Twice as long."""
    lengths: list[float] = []

    async def play(gateway: object, everybody: object, length: float) -> str:
        lengths.append(length)
        if len(lengths) < 3:
            raise Missing("some are")
        return "done"

    assert await gather(HERE, 800, 3.0, play) == "done"
    assert lengths == [5.0, 10.0, 20.0]


async def test_a_machine_that_is_too_slow_is_told() -> None:
    """With what was missing the last time; no song is longer than songs can be."""
    lengths: list[float] = []

    async def play(gateway: object, everybody: object, length: float) -> None:
        lengths.append(length)
        raise Missing("3 of 8 came")

    with pytest.raises(BenchError, match=r"3 of 8 came\. The machine is too slow or too busy for 8 listeners\."):
        await gather(HERE, 8, 400.0, play)
    assert lengths[1:] == [LONGEST, LONGEST]


def report(**group: object) -> orders.Found:
    """Two groups, of which one is as given."""
    usual = {
        "frames": 10,
        "heard": 15,
        "size": 1000,
        "silence": 0.0,
        "present": 3,
        "joined": 3,
        "ended": 3,
        "whole": 3,
        "gone": 0,
        "recovered": 0,
        "faults": {},
        "words": [],
    }
    groups = {"first": orders.Group(**usual), "others": orders.Group(**usual | group)}  # type: ignore[arg-type]  # by name
    return orders.Found(2.0, 0.5, 0.1, [0.2, 0.1], groups)


def test_nothing_wrong() -> None:
    """And nobody missing."""
    assert mistakes(report(), 6) == (0, "")
    assert faults(report()) == (0, "")


def test_what_is_wrong_is_counted() -> None:
    """With its words; who is missing counts, too, but none of them twice."""
    found = report(faults={"lost": 2, "bytes": 1}, words=["lost: a", "bytes: b"], whole=1)
    assert faults(found) == (3, "lost: a; bytes: b")
    assert mistakes(found, 6) == (3, "lost: a; bytes: b")
    assert mistakes(report(whole=1), 6) == (2, "2 did not hear a whole song; ")


def test_a_sitting_has_figures() -> None:
    """And none where nothing came."""
    sitting = Sitting.of(Size("websocket", 6), report(), 0.001, 5.0, 0, "")
    assert (sitting.frame_us, sitting.slowest, typical(sitting)) == (50.0, 0.2, 0.1)
    assert sitting.kib_us == pytest.approx(512.0)
    assert sitting.told() == "server 0% of a processor, crowd 25%"
    nothing = Sitting.of(Size("websocket", 6), orders.Found(2.0, 0.5, 0.1, [], {}), 0.001, 5.0, 0, "")
    assert {nothing.frame_us, nothing.kib_us, nothing.slowest, typical(nothing)} == {math.inf}


def test_a_gauge_is_added_up() -> None:
    """With labels and without, and not those with longer names."""
    text = '# HELP a x\na{codec="mp3",door="x"} 2.0\na{codec="ogg"} 1.0\na_total{codec="mp3"} 9.0\nb 4.0\n'
    assert (gauge(text, "a"), gauge(text, "b"), gauge(text, "c")) == (3.0, 4.0, 0.0)
