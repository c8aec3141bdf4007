"""Songs of the soak, read by the simulator's own reader.

Invariant under test: each fault there is befalls some song, and every prompt is one that the simulator takes.
It must not sing.
"""

from random import Random

import pytest

from gateway.bench.soak.songs import FORMS, MOST_EVENT_BYTES, WAV_FORMS, Songs, faulty
from gateway.model import SongInput
from gateway.upstream.simulator.faults import FAULTS
from gateway.upstream.simulator.scenario import Scenario, read, take


def scenario(prompt: str) -> Scenario:
    found, _ = take(SongInput(prompt=prompt))
    assert found is not None
    return found


@pytest.mark.parametrize("text", [*faulty(), *FORMS, *WAV_FORMS])
def test_each_scenario_is_one(text: str) -> None:
    """The simulator reads it."""
    assert read(f"scale seconds=2 {text}").tune == "scale"


def test_every_fault_is_among_them() -> None:
    """Of thousands; an event that is too large is larger than the gateway takes."""
    songs = Songs(Random(1))
    found = {scenario(songs.any("mp3").prompt).fault for _ in range(6000)}
    assert found == {None, *FAULTS}
    assert any(f"size={2 * MOST_EVENT_BYTES}" in text for text in faulty())


def test_whole_songs_are_whole() -> None:
    """In both formats, with no fault and of whole seconds."""
    songs = Songs(Random(2))
    for form in ("mp3", "wav"):
        found = [scenario(songs.any(form, whole=True).prompt) for _ in range(200)]
        assert {one.fault for one in found} == {None}
        assert all(one.seconds == int(one.seconds or 0) for one in found)


def test_a_key_that_is_refused_is_refused_for_another_model() -> None:
    """So the listeners of the crowd hear their songs."""
    songs = Songs(Random(3))
    for song in (songs.any("mp3") for _ in range(3000)):
        of_keys = scenario(song.prompt).fault in ("bad_key", "denied", "overdue", "arrears")
        assert (song.model == "fun-music-preview") is of_keys


def test_what_does_not_stream_has_no_middle() -> None:
    """The simulator would refuse it."""
    songs = Songs(Random(4))
    assert all(scenario(songs.any("mp3", streamed=False).prompt).after == 0 for _ in range(1000))


def test_full_is_said_once_to_each() -> None:
    """Under a name of its own."""
    songs = Songs(Random(5))
    found = [scenario(songs.any("mp3").prompt) for _ in range(6000)]
    full = [one for one in found if one.fault in ("throttle", "burst", "allocation", "busy")]
    assert full
    assert {one.times for one in full} == {1}
    assert len({one.id for one in full}) == len(full)
