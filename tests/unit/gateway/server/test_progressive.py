"""The connection of a progressive listener, on a wire that keeps what is written.

Invariant under test: a body whose end is missing never looks whole in chunked coding; who says nothing more still hears
everything, and who has gone is found out. It must not know songs.
"""

import re

import pytest

from gateway.config.schema import Config
from gateway.errors import LimitError, UpstreamError, WavegateError
from gateway.model import Chunk, Kind, Position, Principal
from gateway.protocol import frames
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill, Outcome
from gateway.server.connections import Connections
from gateway.server.progressive import MOST_SAID, AudioConnection, PartConnection
from metrics.recorder import Recorder
from tests.support.relay import DETAILS, RENDITION, TENANT, Clock, grow, new_channel, open_channel
from tests.support.server import Wire, dechunked
from tests.support.verbs import value

PRINCIPAL = Principal(TENANT, "k")


def connected(*, modern: bool = True, clock: Clock | None = None) -> tuple[AudioConnection, Wire, list[str]]:
    gone: list[str] = []
    build = frames.chunked if modern else frames.plain
    connection = AudioConnection(clock or Clock(), build, gone.append, PRINCIPAL)
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire, gone


def part(skip: int, length: int | None, *, modern: bool = False) -> tuple[PartConnection, Wire, list[str]]:
    gone: list[str] = []
    build = frames.chunked if modern else frames.plain
    connection = PartConnection(Clock(), build, gone.append, PRINCIPAL, skip, length)
    wire = Wire()
    connection.connection_made(wire)
    return connection, wire, gone


def heard(connection: AudioConnection, channel: Channel, seq: int = 0) -> Listener:
    """A listener of this channel on this connection."""
    listener = Listener(channel, connection, seq, OnLag.COMPLETE, 5.0)
    connection.listeners.append(listener)
    listener.join()
    return listener


def looked_after(connection: AudioConnection, clock: Clock) -> Connections:
    connections = Connections(Config(), Recorder(), clock)
    connections.add(connection)
    return connections


def chunk(seq: int, payload: bytes, kind: Kind = Kind.AUDIO) -> Chunk:
    return Chunk(RENDITION, seq, 0, 0, payload, kind)


def outcome(error: WavegateError | None = None) -> Outcome:
    return Outcome(RENDITION.stream_id, error, 1.0, 1, 1, "", Bill(1.0, settled=True))


async def test_audio_alone_goes_into_the_body() -> None:
    """Header and chunks, each as a chunk of HTTP, several in one batch; news, gaps and a player's words are not."""
    connection, wire, _ = connected()
    connection.started(Position(0, 0), DETAILS, 7, chunk(0, b"header", Kind.INIT))
    connection.send([chunk(0, b"one"), chunk(1, b"two")])
    connection.metadata(b"news")
    connection.gap(2, 3, "retention")
    connection.data_received(b"GET /next HTTP/1.1\r\n\r\n")
    assert wire.written == b"6\r\nheader\r\n3\r\none\r\n3\r\ntwo\r\n"
    assert wire.batches == [1, 2]
    assert connection.name == "http"


async def test_a_format_without_a_header_begins_with_its_audio() -> None:
    """Nothing stands in front of an mp3."""
    connection, wire, _ = connected()
    connection.started(Position(0, 0), DETAILS, 7, None)
    assert wire.written == b""


@pytest.mark.parametrize(
    ("modern", "error", "ending"),
    [
        (True, None, b"0\r\n\r\n"),
        (True, LimitError("quota_exceeded", "The budget has ended."), b"0\r\n\r\n"),
        (True, UpstreamError("upstream_interrupted", "It broke off."), b""),
        (False, None, b""),
        (False, UpstreamError("upstream_interrupted", "It broke off."), b""),
    ],
)
async def test_only_a_whole_song_ends_in_order(modern: bool, error: WavegateError | None, ending: bytes) -> None:
    """The last chunk is for a whole song in chunked coding; behind it our side ends, and theirs is heard to its end."""
    connection, wire, gone = connected(modern=modern)
    connection.ended(outcome(error))
    assert (bytes(wire.written), wire.ended, wire.closing, gone) == (ending, True, False, ["left"])
    assert connection.eof_received() is False, "then the socket closes"


async def test_room_behind_the_end_does_not_forget_the_rest() -> None:
    """What a player has not taken of a finished song is watched like any stalled client's, also when it took a part."""
    connection, _, _ = connected()
    connection.resume_writing()
    assert connection.stalled_since is None
    connection.ended(outcome())
    assert connection.stalled_since is not None
    connection.resume_writing()
    assert connection.stalled_since is not None


async def test_a_body_is_busy_until_it_is_taken() -> None:
    """Whole and with nothing in the socket's buffer."""
    connection, wire, _ = connected()
    assert connection.busy
    connection.ended(outcome())
    wire.untaken = 1
    assert connection.busy
    wire.untaken = 0
    assert not connection.busy


async def test_a_listener_that_lost_its_place_is_cut() -> None:
    """There is no word for it in a body of audio: the connection breaks, so the player knows that this is no end."""
    connection, wire, _ = connected()
    connection.refused(LimitError("too_slow", "The audio you had not taken yet is no longer retained."))
    assert wire.aborted.is_set()
    assert wire.written == b""
    connection.ended(outcome(UpstreamError("upstream_interrupted", "It broke off.")))
    assert wire.written == b""


async def test_a_player_that_is_gone_is_told_of_and_sent_nothing() -> None:
    """Whoever holds the listener hears of it once, and what comes later falls on nothing."""
    connection, wire, gone = connected()
    connection.connection_lost(None)
    connection.send([chunk(0, b"late")])
    connection.ended(outcome())
    connection.refused(LimitError("too_slow", "Too slow."))
    assert (gone, bytes(wire.written), wire.closing) == (["left"], b"", False)


async def test_a_key_that_is_gone_takes_its_listeners_along() -> None:
    """After a reload; who still would be let in hears on."""
    connection, wire, _ = connected()
    connection.recheck(lambda principal: principal == PRINCIPAL)
    assert not wire.aborted.is_set()
    connection.recheck(lambda principal: False)
    assert wire.aborted.is_set()


async def test_who_says_too_much_is_not_read_any_further_and_hears_on() -> None:
    """A little is dropped; a flood is left to the kernel, which stops it."""
    connection, wire, _ = connected()
    connection.data_received(bytes(MOST_SAID))
    assert wire.reading
    connection.data_received(b"!")
    assert not wire.reading
    connection.send([chunk(0, b"song")])
    assert wire.written == b"4\r\nsong\r\n"


# -- players that say nothing more -------------------------------------------------------------------------------------


async def test_who_says_nothing_more_hears_its_song_and_then_the_connection_closes() -> None:
    """The zeros that look for it belong to the sizes of the chunks."""
    clock, channel = Clock(), open_channel()
    connection, wire, _ = connected(clock=clock)
    connections = looked_after(connection, clock)
    heard(connection, channel)
    assert connection.eof_received() is True
    sound = b"".join(grow(channel, 2))
    for _ in range(9):
        connections.sweep()
    sound += b"".join(grow(channel, 1))
    for _ in range(2):
        connections.sweep()
    channel.close(None, Bill(1.0, settled=True))
    assert dechunked(bytes(wire.written)) == (sound, True)
    zeros = re.findall(rb"(?:^|\r\n)(0*)64\r\n", wire.written)
    assert zeros == [b"0", b"", b"000"], "it was looked for, and parsers take no size of more than 16 digits"
    assert wire.closing, "it said all that it had to say"


async def test_before_the_head_and_without_chunks_nothing_can_be_written_to_look() -> None:
    """One that takes nothing for the patience of the gateway has gone; new sound begins it anew."""
    for modern, late in ((False, False), (True, True)):
        clock, channel = Clock(), new_channel() if late else open_channel()
        connection, wire, _ = connected(modern=modern, clock=clock)
        if late:
            connection.head = lambda _: b"HEAD "
        connections = looked_after(connection, clock)
        heard(connection, channel)
        connection.eof_received()
        clock.at += 60.0
        connections.sweep()
        grow(channel, 0 if late else 1)
        connections.sweep()
        clock.at += 60.0
        connections.sweep()
        assert wire.aborted.is_set() is late
        clock.at += 1.0
        connections.sweep()
        assert wire.aborted.is_set()


async def test_a_full_socket_is_not_asked_and_one_that_is_over_neither() -> None:
    """What waits in it tells as much; and behind the end there is nothing to ask."""
    connection, wire, _ = connected()
    connection.pause_writing()
    connection.eof_received()
    assert wire.written == b""
    connection.resume_writing()
    connection.ask(60.0)
    assert wire.written == b"0"
    connection.ended(outcome())
    connection.ask(60.0)
    assert wire.written == b"00\r\n\r\n"


# -- heads that wait, and parts ----------------------------------------------------------------------------------------


async def test_a_head_may_wait_for_the_first_sound() -> None:
    """And is written before it, once."""
    connection, wire, _ = connected(modern=False)
    connection.head = lambda details: b"HEAD " if details is DETAILS else b""
    channel = open_channel()
    heard(connection, channel)
    sound = b"".join(grow(channel, 2))
    assert wire.written == b"HEAD " + sound


@pytest.mark.parametrize("error", [None, UpstreamError("upstream_timeout", "Nothing came.")])
async def test_where_there_is_no_sound_the_answer_is_why(error: WavegateError | None) -> None:
    """A head that still waits then becomes a refusal; a song that is whole without a sound is one, too."""
    connection, wire, _ = connected()
    connection.head = lambda about: about.code.encode() if isinstance(about, WavegateError) else b""
    connection.ended(outcome(error))
    assert wire.written == (b"upstream_timeout" if error else b"upstream_empty")
    assert wire.ended


@pytest.mark.parametrize(
    ("skip", "length", "taken"),
    [(0, 5, b"01234"), (2, 6, b"234567"), (4, 3, b"456"), (9, 1, b"9"), (3, 7, b"3456789"), (0, 10, b"0123456789")],
)
async def test_a_part_is_what_was_asked_for_and_then_the_end(skip: int, length: int, taken: bytes) -> None:
    """Over chunks of any cut: the header's bytes count, what is behind is not sent, and the listener leaves."""
    connection, wire, gone = part(skip, length)
    connection.started(Position(0, 0), DETAILS, 7, chunk(0, b"01", Kind.INIT))
    connection.send([chunk(0, b"234"), chunk(1, b"56")])
    if not wire.ended:
        connection.send([chunk(2, b"789")])
    assert (bytes(wire.written), wire.ended, gone) == (taken, True, ["completed"])


async def test_a_part_without_an_end_is_followed_to_the_end_of_the_song() -> None:
    """In chunks, of which only the first is its own."""
    connection, wire, _ = part(4, None, modern=True)
    connection.started(Position(0, 0), DETAILS, 7, chunk(0, b"01", Kind.INIT))
    whole = chunk(1, b"56")
    connection.send([chunk(0, b"234"), whole])
    connection.ended(outcome())
    assert wire.written == b"1\r\n4\r\n2\r\n56\r\n0\r\n\r\n"
    assert whole.wire(frames.chunked) is whole.wire(frames.chunked)


async def test_what_is_cut_off_a_part_was_not_sent() -> None:
    """Bytes before and behind the part count for nobody; who has all of it has heard it to the end."""
    recorder = Recorder()
    channel = open_channel(recorder=recorder)
    grow(channel, 4)
    connection, wire, gone = part(150, 100)
    heard(connection, channel)
    assert len(b"".join([wire.written])) == 100
    assert gone == ["completed"]
    channel.flush_tallies()
    assert channel.egress == 100
    assert value(recorder, "egress_bytes_total", transport="http", codec="mp3") == 100.0
