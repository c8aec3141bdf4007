"""Markers in words.

Invariant tested: known markers are read and taken out, unknown ones are refused by name.
It must not know what scenarios do.
"""

import pytest

from gateway.model import SongInput
from gateway.upstream.simulator.scenario import NAMES, OPTIONS, Scenario, ScenarioError, read, take


def test_a_marker_is_read_and_taken_out() -> None:
    """What is left of the prompt has no trace of the marker."""
    scenario, words = take(SongInput(prompt="[[scale seconds=8 speed=20 slice=4000]] a scale for the test bench"))
    assert scenario == Scenario("scale", seconds=8, speed=20, slice=4000)
    assert words.prompt == "a scale for the test bench"


def test_a_marker_may_stand_in_the_lyrics() -> None:
    """Lyrics carry markers beside their tags."""
    scenario, words = take(SongInput(lyrics="[verse]\nla la\n[[song wait=0.5 bitrate=128000]]"))
    assert scenario == Scenario("song", wait=0.5, bitrate=128000)
    assert words.lyrics == "[verse]\nla la"


def test_a_marker_may_be_all_there_is() -> None:
    """A prompt that is only a marker leaves an empty one."""
    scenario, words = take(SongInput(prompt="[[scale]]"))
    assert scenario == Scenario("scale")
    assert words.prompt == ""


def test_no_marker_no_scenario() -> None:
    """Ordinary words choose nothing and stay as they are."""
    assert take(SongInput(prompt="[verse] hello")) == (None, SongInput(prompt="[verse] hello"))


def test_the_header_outranks_the_marker() -> None:
    """With a header the marker is taken out and not read; brackets are optional in the header."""
    scenario, words = take(SongInput(prompt="[[nonsense]] hello"), "[[scale seconds=2]]")
    assert scenario == Scenario("scale", seconds=2)
    assert words.prompt == "hello"
    assert take(SongInput(), "scale seconds=2")[0] == scenario


@pytest.mark.parametrize("text", ["", "scales", "seconds=3"])
def test_unknown_names_are_refused_with_the_known_ones(text: str) -> None:
    """The message lists every scenario."""
    with pytest.raises(ScenarioError) as error:
        read(text)
    assert all(name in str(error.value) for name in NAMES)


def test_unknown_options_are_refused_with_the_known_ones() -> None:
    """The message lists every option."""
    with pytest.raises(ScenarioError) as error:
        read("scale second=3")
    assert all(option in str(error.value) for option in OPTIONS)


@pytest.mark.parametrize(
    "pair",
    [
        "seconds=0",
        "seconds=601",
        "seconds=x",
        "seconds",
        "speed=-1",
        "speed=nan",
        "slice=0",
        "slice=1.5",
        "bitrate=192",
        "wait=inf",
    ],
)
def test_bad_values_are_refused(pair: str) -> None:
    """The message says what the option takes."""
    with pytest.raises(ScenarioError, match=f"The option {pair.partition('=')[0]} takes"):
        read(f"scale {pair}")


def test_two_markers_are_one_too_many() -> None:
    """Which of two would count is not guessed."""
    with pytest.raises(ScenarioError, match="Only one"):
        take(SongInput(prompt="[[scale]] and [[song]]"))
