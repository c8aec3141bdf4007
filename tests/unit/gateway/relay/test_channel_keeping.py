"""Tests of what a channel holds in memory: wire forms for a bounded number of chunks, and no song once it is forgotten.

Invariant under test: a wire form that is gone is built again and is the same; how many stand does not depend on who
reads what; forgetting takes the audio from everybody who still holds the channel.
"""

import sys

import pytest

from gateway.model import Chunk
from gateway.relay.channel import WIRES_KEPT
from gateway.relay.outcome import Bill
from tests.support.relay import Pipe, grow, listen, open_channel


def wired(chunk: Chunk) -> bytes:
    return b"wire" + chunk.payload


def test_wire_forms_are_kept_for_the_newest_chunks_only() -> None:
    """What almost everybody has been sent is not kept twice; who comes late gets the same bytes all the same."""
    channel = open_channel()
    grow(channel, 1)
    (oldest,) = channel.retained
    built = oldest.wire(wired)
    grow(channel, WIRES_KEPT - 1)
    assert oldest.wire(wired) is built
    grow(channel, 1)
    assert oldest.wire(wired) is not built
    assert oldest.wire(wired) == built


def test_wire_forms_that_are_built_again_do_not_pile_up() -> None:
    """Who hears an old song from its start has its wire forms built, and leaves no second copy of it behind."""
    channel = open_channel()
    grow(channel, 5 * WIRES_KEPT)
    built: list[bytes] = []
    while chunks := channel.read(len(built), 300):
        built += [chunk.wire(wired) for chunk in chunks]
    kept = [chunk.seq for chunk in channel.retained if chunk.wire(wired) is built[chunk.seq]]
    assert 2 * WIRES_KEPT <= len(kept) <= 2 * WIRES_KEPT + 3, "the newest, the last read, and one reading more"
    assert kept == list(range(channel.end))[-len(kept) :]


def test_a_reading_of_very_many_chunks_does_not_escape_the_count() -> None:
    """Chunks may be so small that one reading takes more of them than are kept: they are let go with the next."""
    channel = open_channel()
    grow(channel, 4 * WIRES_KEPT)
    early = channel.read(0, 200 * WIRES_KEPT)
    built = [chunk.wire(wired) for chunk in early]
    channel.read(2 * WIRES_KEPT, 1)
    kept = [chunk.seq for chunk, wire in zip(early, built, strict=True) if chunk.wire(wired) is wire]
    assert kept == list(range(WIRES_KEPT, 2 * WIRES_KEPT))


@pytest.mark.parametrize("room", [None, 0])
def test_wire_forms_end_with_the_song_when_all_have_heard_it(room: int | None) -> None:
    """A closed channel keeps no second copy, unless somebody still has to be sent the rest."""
    channel = open_channel()
    grow(channel, 2)
    listen(channel, Pipe(room=room))
    built = [chunk.wire(wired) for chunk in channel.retained]
    channel.close(None, Bill(1.5, settled=True))
    kept = [chunk.wire(wired) is wire for chunk, wire in zip(channel.retained, built, strict=True)]
    assert kept == [room == 0] * 2


def test_what_is_forgotten_is_held_by_nobody() -> None:
    """The audio goes at once, from whoever still holds the channel too; to them it is audio no longer retained."""
    channel = open_channel()
    grow(channel, 2 * WIRES_KEPT)
    song = channel.read(0, 1)
    channel.close(None, Bill(1.5, settled=True))
    before = sys.getrefcount(song[0])
    channel.forget()
    after = sys.getrefcount(song[0])
    assert before - after == 2, "the log's own, and that of the wire forms built again"
    assert (channel.first, channel.end, channel.retained_bytes) == (channel.end, 2 * WIRES_KEPT, 0)
    assert (list(channel.retained), channel.read(channel.end, 1), channel.live_seq()) == ([], [], channel.end)
    pipe = Pipe()
    listen(channel, pipe)
    assert pipe.said[1:] == [("gap", 0, channel.end, "retention"), ("ended", None)]
