"""The daily share of the fuzzer: each finding again, each seed, and some thousands of inputs put together anew.

Invariant under test: every target keeps its promise. `python -m tests.fuzz TARGET` looks for longer.
It must not know what a target does.
"""

import random
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.fuzz.__main__ import CORPUS, blindly, cases, guarded
from tests.fuzz.catalogue import TARGETS
from tests.fuzz.mutation import made_up
from tests.fuzz.target import Target, slices

EXAMPLES = 15
BLIND = 20
NIGHTLY_MINUTES = 0.1
ALL = pytest.mark.parametrize("name", TARGETS)


@ALL
def test_findings_and_seeds(name: str) -> None:
    """What was found once is not found again."""
    target = TARGETS[name]
    for data in (b"", *target.seeds, *target.tokens, *cases(name).values()):
        target.check(data)


@ALL
def test_pieces_put_together(name: str) -> None:
    """Tokens, seeds and noise in any order; hypothesis makes of a finding the smallest there is."""
    target = TARGETS[name]
    pieces = st.lists(st.sampled_from([*target.tokens, *target.seeds]) | st.binary(max_size=8), max_size=8)

    @settings(max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(pieces.map(b"".join))
    def holds(data: bytes) -> None:
        target.check(data)

    holds()


@ALL
def test_seeds_damaged(name: str) -> None:
    """Pieces cut out, doubled and changed; the same each day, so that only a change of ours can find something."""
    target, draw = TARGETS[name], random.Random(name)
    for _ in range(BLIND):
        target.check(made_up(draw, target.seeds, target.tokens))


@pytest.mark.nightly
@ALL
def test_seeds_damaged_anew(name: str) -> None:
    """For some seconds each, and each night others: what is found is a file in the corpus, and told with its octets."""
    assert blindly(TARGETS[name], NIGHTLY_MINUTES) > 0


def test_every_finding_has_a_target() -> None:
    """Nobody's file lies about unread, and none is large."""
    assert {place.name for place in CORPUS.iterdir()} <= set(TARGETS)
    assert all(len(data) <= 8192 for name in TARGETS for data in cases(name).values())


def test_a_broken_promise_is_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is found is written down before it is told."""
    monkeypatch.setattr("tests.fuzz.__main__.CORPUS", tmp_path)
    monkeypatch.setattr("tests.fuzz.__main__.HERE", tmp_path)

    def breaks(data: bytes) -> None:
        assert b"!" not in data

    target = Target("breaks", "No exclamation.", breaks, (b"a",), ())
    guarded(target)(b"quiet")
    with pytest.raises(AssertionError):
        guarded(target)(b"loud!")
    assert list(cases("breaks").values()) == [b"loud!"]


def test_slices_are_the_whole() -> None:
    """However it is cut, nothing is lost; and the same octets are cut the same."""
    for data in (b"", b"a", bytes(range(256))):
        assert b"".join(slices(data)) == data
        assert list(slices(data)) == list(slices(data))
