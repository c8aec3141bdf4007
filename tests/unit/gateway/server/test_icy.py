"""Titles inside the sound: blocks at their distance, each title at the sound it belongs to, and nothing else of it.

Invariant under test: without the blocks the body is the song; a title is never further than 100 ms from its sound; no
title can be mistaken for anything but one title. It must not know doors.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.model import Flag, Principal
from gateway.protocol import frames
from gateway.relay.channel import Channel
from gateway.relay.listener import Listener, OnLag
from gateway.relay.outcome import Bill
from gateway.relay.titles import Titles
from gateway.server import icy
from gateway.server.icy import IcyConnection
from tests.support.icy import parsed
from tests.support.relay import DETAILS, TENANT, Clock, new_channel
from tests.support.server import Wire, dechunked
from transcode.formats import AAC, FLAC, MP3, MP4, OGG, PCM, WAV, WEBM, StreamFormat

RATE = DETAILS.sample_rate
PRINCIPAL = Principal(TENANT, "k")


def opened(bitrate: int | None = 128_000) -> Channel:
    channel = new_channel()
    channel.open(StreamFormat(MP3, RATE, 2, bitrate), b"", 1000.0)
    return channel


def grow(channel: Channel, seconds: float, bitrate: int, chunk_seconds: float = 0.2) -> None:
    """Sound of this bitrate; each byte tells in which tenth of a second it is."""
    for _ in range(round(seconds / chunk_seconds)):
        size = round(bitrate / 8 * chunk_seconds)
        begin = channel.seconds(channel.end_pts)
        payload = bytes([int((begin + chunk_seconds * at / size) * 10) % 251 for at in range(size)])
        channel.append(payload, round(chunk_seconds * RATE), Flag.RANDOM_ACCESS, 1000.0)


def radio(channel: Channel, titles: Titles, seq: int = 0) -> tuple[IcyConnection, Wire, list[int]]:
    """Somebody who reads titles, and the distances that were announced."""
    connection, wire, told = (
        IcyConnection(Clock(), frames.plain, lambda parting: None, PRINCIPAL, channel, titles),
        Wire(),
        [],
    )
    connection.connection_made(wire)

    def head(_: object) -> bytes:
        told.append(connection.interval)
        return b""

    connection.head = head
    listener = Listener(channel, connection, seq, OnLag.COMPLETE, 5.0)
    connection.listeners.append(listener)
    listener.join()
    return connection, wire, told


@pytest.mark.parametrize("seq", [0, 3, 17])
@pytest.mark.parametrize("held", [True, False])
async def test_each_title_stands_at_its_sound(seq: int, held: bool) -> None:
    """Whether the song was held already or comes as it is made, from wherever one joins."""
    channel, titles = opened(), Titles("First")
    begins = {"First": 0.0, "Second": 1.0, "Third": 2.13, "Fourth": 3.99, "Fifth": 5.5}
    for title, second in begins.items():
        titles.begin(second, title)
    grow(channel, 8.0 if held else 0.2 * (seq + 1), 128_000)
    _, wire, told = radio(channel, titles, seq)
    if not held:
        grow(channel, 8.0 - 0.2 * (seq + 1), 128_000)
    assert told == [1280]
    body = parsed(bytes(wire.written), told[0])
    assert body.audio == b"".join(chunk.payload for chunk in channel.retained[seq:])
    joined = 0.2 * seq
    first = titles.at(joined + 0.12 - icy.CODEC_SECONDS)
    assert [title for _, title in body.titles] == [title for title in begins if begins[title] >= begins[first]]
    assert body.titles[0][0] == told[0], "what sounds when one joins is told as soon as can be"
    for at, title in body.titles[1:]:
        assert abs(joined + at / 16_000 - begins[title] - icy.CODEC_SECONDS) <= 0.041


async def test_where_the_bitrate_changes_a_title_is_still_near() -> None:
    """To a half and to the double; the distance is that of the slowest sound when one joins."""
    for first, second in ((128_000, 64_000), (64_000, 128_000)):
        channel, titles = opened(None), Titles("One")
        titles.begin(3.07, "Two")
        grow(channel, 1.0, first)
        _, wire, told = radio(channel, titles)
        grow(channel, 4.0, second)
        assert told == [round(first / 8 * 0.08)]
        _, (at, title) = parsed(bytes(wire.written), told[0]).titles
        assert title == "Two"
        assert abs(1.0 + (at - first / 8) / (second / 8) - 3.07 - icy.CODEC_SECONDS) <= 0.1


async def test_in_chunks_it_is_the_same_body() -> None:
    """Each batch is one chunk of HTTP, with the blocks in it."""
    channel = opened()
    grow(channel, 1.0, 128_000)
    _, wire, told = radio(channel, Titles("Song"))
    connection, chunks = (
        IcyConnection(Clock(), frames.chunked, lambda parting: None, PRINCIPAL, channel, Titles("Song")),
        Wire(),
    )
    connection.connection_made(chunks)
    Listener(channel, connection, 0, OnLag.COMPLETE, 5.0).join()
    channel.close(None, Bill(1.0, settled=True))
    assert dechunked(bytes(chunks.written))[0] == bytes(wire.written)
    assert told == [connection.interval]


async def test_what_is_not_new_is_a_zero_byte() -> None:
    """The first block names what sounds, and then nothing more is said."""
    channel = opened()
    _, wire, told = radio(channel, Titles("Song"))
    grow(channel, 2.0, 128_000)
    body = parsed(bytes(wire.written), told[0])
    assert body.titles == [(told[0], "Song")]
    assert body.blocks == 25


async def test_a_title_that_becomes_known_late_is_heard_from_then_on() -> None:
    """Whoever listens has it in the next block; whoever comes later from the start."""
    channel, titles = opened(), Titles("A song of five words")
    _, wire, told = radio(channel, titles)
    grow(channel, 1.0, 128_000)
    titles.settle("The river runs")
    grow(channel, 0.2, 128_000)
    early = parsed(bytes(wire.written), told[0]).titles
    assert [title for _, title in early] == ["A song of five words", "The river runs"]
    _, wire, told = radio(channel, titles)
    assert [title for _, title in parsed(bytes(wire.written), told[0]).titles] == ["The river runs"]


def test_the_distance_is_eighty_milliseconds_of_the_sound_there_is() -> None:
    """As announced, or as it is where that is less; within what players can take."""
    assert icy.interval_of(new_channel()) == 1280
    assert icy.interval_of(opened(320_000)) == 3200
    assert icy.interval_of(opened(8000)) == icy.SHORTEST_BYTES
    assert icy.interval_of(opened(1_411_200)) == icy.LONGEST_BYTES
    channel = opened(320_000)
    grow(channel, 1.0, 48_000)
    channel.append(b"tag", 0, Flag.NONE, 1000.0)
    assert icy.interval_of(channel) == 480


def test_only_formats_that_find_their_frames_again_have_titles() -> None:
    """In a container the blocks would be taken for its own bytes, and raw samples have no marks at all."""
    assert {MP3, AAC} == icy.FORMATS
    assert not icy.FORMATS & {WAV, PCM, OGG, WEBM, MP4, FLAC}


@pytest.mark.parametrize(
    ("title", "said"),
    [
        ("夜 in the rain", "夜 in the rain"),
        ("Don't; stop", "Don\N{RIGHT SINGLE QUOTATION MARK}t, stop"),
        (
            "a';StreamUrl='http://evil.example",
            "a\N{RIGHT SINGLE QUOTATION MARK},StreamUrl=\N{RIGHT SINGLE QUOTATION MARK}http://evil.example",
        ),
        ("one\r\nSet-Cookie: x\0\x1b[31m two\u2028three", "one Set-Cookie: x [31m two three"),
        ("\ud800", "?"),
        ("", ""),
    ],
)
def test_a_title_is_one_line_whatever_it_says(title: str, said: str) -> None:
    """Quotes and semicolons end a title for players: others stand in for them."""
    block = icy.block(title)
    assert block[0] * 16 == len(block) - 1
    assert block[1:].rstrip(b"\0").decode() == f"StreamTitle='{said}';"


@given(st.text(max_size=5000) | st.text("夜a';\r", min_size=1300, max_size=1400))
def test_no_title_breaks_out_of_its_block(title: str) -> None:
    """Of any text and of any length: one StreamTitle of at most 4080 bytes, in whole characters."""
    block = icy.block(title)
    assert block[0] * 16 == len(block) - 1 <= 4080
    text = block[1:].rstrip(b"\0").decode()
    assert text.startswith("StreamTitle='")
    assert text.endswith("';")
    assert not set(text[len("StreamTitle='") : -2]) & {"'", ";", "\r", "\n", "\0"}
    assert len(block) > 4080 - 16 or text == f"StreamTitle='{icy.plain(title).encode(errors='replace').decode()}';"


def test_what_a_radio_says_of_itself() -> None:
    """As far as it is known."""
    assert icy.headers("A\nsong", 1280, None) == {"icy-metaint": "1280", "icy-name": "A song", "icy-pub": "0"}
    told = icy.headers("A song", 1280, StreamFormat(MP3, 48000, 2, 192_000))
    assert (told["icy-br"], told["icy-sr"]) == ("192", "48000")
    assert "icy-br" not in icy.headers("A song", 1280, StreamFormat(MP3, 48000, 2, None))
