"""Markers in words.

Invariant tested: known markers are read and taken out, unknown ones are refused by name.
It must not know what scenarios do.
"""

import pytest

from gateway.model import SongInput
from gateway.upstream.simulator.faults import FAULTS, Refusal
from gateway.upstream.simulator.options import OPTIONS
from gateway.upstream.simulator.scenario import HEADER, TUNES, Scenario, ScenarioError, describe, read, take


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


@pytest.mark.parametrize("text", ["", "scales", "seconds=3", "scale seconds"])
def test_unknown_names_are_refused_with_the_known_ones(text: str) -> None:
    """The message lists every scenario."""
    with pytest.raises(ScenarioError) as error:
        read(text)
    assert all(name in str(error.value) for name in (*TUNES, *FAULTS))


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


def test_a_tune_and_a_fault_stand_together() -> None:
    """In either order; a fault alone befalls the song."""
    assert read("scale cut after=1") == read("cut scale after=1") == Scenario("scale", "cut", after=1)
    assert read("stall") == Scenario("song", "stall")


@pytest.mark.parametrize(("text", "kind"), [("scale song", "tune"), ("cut stall", "fault"), ("scale scale", "tune")])
def test_one_of_each_is_enough(text: str, kind: str) -> None:
    """Two tunes or two faults are refused."""
    with pytest.raises(ScenarioError, match=f"Only one {kind}"):
        read(text)


@pytest.mark.parametrize(
    ("text", "takers"),
    [
        ("scale after=1", "throttle"),
        ("stall how=reset", "cut"),
        ("cut heartbeat=1", "stall"),
        ("noise after=1", "garbage"),
    ],
)
def test_an_option_that_would_do_nothing_is_refused(text: str, takers: str) -> None:
    """Options of faults are for those that take them, and the message names these."""
    with pytest.raises(ScenarioError, match=f"only: .*{takers}"):
        read(text)


def test_values_may_hold_spaces_in_quotes() -> None:
    """A sentence is quoted, and every part of a refusal can be chosen."""
    scenario = read("error status=418 code=Tea.Pot message='I am a teapot'")
    assert scenario.refusal == Refusal(418, "Tea.Pot", "I am a teapot")
    assert read("busy").refusal == FAULTS["busy"].refusal
    assert read("stall").refusal is read("scale").refusal is None


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("error message='open", "cannot be read"),
        ("busy times=1", "need each other"),
        ("busy id=a", "need each other"),
        ("busy after=1 shape=openai", "cannot come after"),
        ("busy shape=square", "The option shape takes flat, event"),
        ("scale id3=yes", "The option id3 takes 0, 1"),
        ("scale type=text", "The option type takes a media type"),
    ],
)
def test_nonsense_is_refused_with_a_sentence(text: str, says: str) -> None:
    """Each mistake has its own."""
    with pytest.raises(ScenarioError, match=says):
        read(text)


@pytest.mark.parametrize(
    ("text", "in_stream"),
    [("busy", False), ("busy after=1", True), ("busy shape=event", True), ("busy shape=framed", False)],
)
def test_where_a_refusal_comes(text: str, in_stream: bool) -> None:
    """Instead of a stream, unless it comes after some sound or is shaped as an event."""
    assert read(text).in_stream is in_stream


def test_everything_is_described() -> None:
    """Each tune, fault and option has a line of its own, which begins with its name, and the header is named."""
    text = describe()
    firsts = [line.split()[0] for line in text.splitlines()]
    for name in (*TUNES, *FAULTS, *(f"{option}=" for option in OPTIONS)):
        assert firsts.count(name) == 1
    assert HEADER in text
