"""The foreground.

Invariant tested: the lead sings every syllable it has room for, in the singer's range, and sections are recognised.
It must not know accompaniment.
"""

from gateway.upstream.simulator.music.form import plan
from gateway.upstream.simulator.music.harmony import Key
from gateway.upstream.simulator.music.lead import Leader
from gateway.upstream.simulator.music.lyric import stanzas
from gateway.upstream.simulator.music.mood import Mood, Style
from gateway.upstream.simulator.music.score import Part

MOOD = Mood(Style.POP, 0.6, 120.0, "major", 0, None, 11)
KEY = Key(0, "major")
LYRICS = "[verse]\n" + "the river runs along the road\n" * 4 + "[chorus]\n" + "hold me now and never let go\n" * 4


def test_every_syllable_is_sung() -> None:
    """The lead has one note a syllable, with the syllable's sound, within its section."""
    passages = plan(MOOD, KEY, stanzas(LYRICS))
    events = [event for event in Leader(MOOD, KEY, "female").play(passages) if event.part is Part.LEAD]
    assert len(events) == sum(len(line) for passage in passages for line in passage.lines)
    assert all(len(event.sound.split()) == 2 for event in events)
    assert all(60 <= event.pitch <= 79 for event in events)


def test_a_man_sings_an_octave_lower() -> None:
    """The range follows the gender."""
    passages = plan(MOOD, KEY, stanzas(LYRICS))
    pitches = [event.pitch for event in Leader(MOOD, KEY, "male").play(passages) if event.part is Part.LEAD]
    assert 48 <= min(pitches) <= max(pitches) <= 67


def test_an_instrumental_has_lead_and_counter_but_no_sounds() -> None:
    """When nobody sings, instruments take turns and no note carries a syllable."""
    events = Leader(MOOD, KEY, None).play(plan(MOOD, KEY, []))
    assert {Part.LEAD, Part.COUNTER, Part.CHOIR} == {event.part for event in events}
    assert not any(event.sound for event in events)


def test_the_second_verse_has_the_first_ones_tune() -> None:
    """Sections of one kind have the same notes at the same places."""
    passages = plan(MOOD, KEY, [])
    events = [event for event in Leader(MOOD, KEY, None).play(passages) if event.part is Part.LEAD]
    one, two = [
        [(event.beat - passage.beat, event.pitch) for event in events if passage.beat <= event.beat < passage.end]
        for passage in passages
        if passage.name == "verse"
    ]
    assert one == two != []


def test_later_choruses_have_a_second_voice_below() -> None:
    """The choir joins from the second chorus on, below the lead."""
    passages = plan(MOOD, KEY, [])
    events = Leader(MOOD, KEY, None).play(passages)
    choruses = [passage for passage in passages if passage.name == "chorus"]
    lead = {event.beat: event.pitch for event in events if event.part is Part.LEAD}
    choir = [event for event in events if event.part is Part.CHOIR]
    assert choir
    assert all(event.beat >= choruses[1].beat and event.pitch < lead[event.beat] for event in choir)


def test_intro_and_outro_remember_the_chorus() -> None:
    """Where nobody sings, the counter voice plays the hook."""
    passages = plan(MOOD, KEY, stanzas(LYRICS))
    events = Leader(MOOD, KEY, "female").play(passages)
    assert any(event.part is Part.COUNTER and event.beat < passages[1].beat for event in events)
    assert any(event.part is Part.COUNTER and event.beat >= passages[-1].beat for event in events)
