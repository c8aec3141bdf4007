"""The progressive door with the manners of real players: looks before listening, titles, lines that break, requests
behind requests, and players that say nothing more.

Invariant under test: whatever a player does beside listening, it gets the song, and nobody else notices.
It must not know how a song is framed.
"""

import asyncio
import json
import re

import pytest

from gateway.config.schema import Limits
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, Principal, SourceEvent
from gateway.quota.uses import MemoryUses
from gateway.server.signing import SigningKeys
from gateway.server.tickets import TicketOffice, Wanted
from gateway.server.visitor import Visitor
from tests.support.encoding import ScriptedEncodings
from tests.support.icy import parsed
from tests.support.relay import TENANT, mp3_frames, within
from tests.support.server import audio_place, dechunked, dial, exchange, soon

FRAMES = mp3_frames(160)
FIRST, REST = b"".join(FRAMES[:80]), b"".join(FRAMES[80:])
SONG = FIRST + REST
GOOD: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(FIRST), AudioDelta(REST), Finished(4.0))
ICY = "Icy-MetaData: 1\r\n"


def status(head: bytes) -> int:
    return int(head.split()[1])


def value(head: bytes, name: str) -> str | None:
    found = re.search(rb"(?im)^" + name.encode() + rb": (.*)\r?$", head)
    return found[1].decode().strip() if found else None


# -- looks -------------------------------------------------------------------------------------------------------------


async def test_a_look_before_the_first_sound_waits_for_it() -> None:
    """It is answered with the first bytes, and is no listener meanwhile."""
    hold = asyncio.Event()
    async with audio_place(Accepted("r"), hold, *GOOD[1:]) as there:
        stream = await there.stream()
        looking = asyncio.create_task(there.get(stream, more="Range: bytes=0-1\r\n"))
        await soon(lambda: len(stream.native.followers) == 1)
        assert (stream.listeners, len(there.connections)) == (0, 0)
        hold.set()
        head, body = await within(looking)
        assert (status(head), body) == (206, SONG[:2])
        assert value(head, "Content-Range") in ("bytes 0-1/*", f"bytes 0-1/{len(SONG)}")


async def test_a_look_does_not_wait_for_ever() -> None:
    """Nor is an empty answer given in its place: it may look again."""
    hold = asyncio.Event()
    async with audio_place(Accepted("r"), hold, *GOOD[1:], probe_seconds=0.01) as there:
        stream = await there.stream()
        head, body = await there.get(stream, more="Range: bytes=0-1\r\n")
        assert (status(head), value(head, "Retry-After")) == (504, "1")
        assert json.loads(body)["error"]["retryable"] is True


async def test_a_look_at_what_never_sounds_is_told_why() -> None:
    """The song's own error, when it ends while one waits, and afterwards."""
    hold = asyncio.Event()
    broken = UpstreamError("upstream_busy", "The provider has no room.")
    async with audio_place(Accepted("r"), hold, broken) as there:
        stream = await there.stream()
        looking = asyncio.create_task(there.get(stream, more="Range: bytes=0-0\r\n"))
        await soon(lambda: len(stream.native.followers) == 1)
        hold.set()
        assert status((await within(looking))[0]) == 503
        await within(stream.wait())
        assert status((await there.get(stream, more="Range: bytes=0-0\r\n"))[0]) == 503


async def test_a_head_is_that_of_the_answer() -> None:
    """Line by line, while the song is made and when it is whole, with titles and without, but for the coding."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:]) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end > 3)
        for round_ in ("live", "whole"):
            for more, query in (("", ""), (ICY, ""), ("", "?since=live"), ("", "?since=1")):
                looked, body = await there.get(stream, query, method="HEAD", more=more)
                assert body == b""
                async with dial(there.port) as (reader, writer):
                    writer.write(there.head(stream, query, more=more))
                    answered = await reader.readuntil(b"\r\n\r\n")
                for name in (
                    *("Content-Type", "Content-Length", "Accept-Ranges", "ETag", "Cache-Control", "X-Accel-Buffering"),
                    *("X-Content-Type-Options", "icy-metaint", "icy-name", "icy-br", "icy-sr", "icy-pub"),
                ):
                    assert value(looked, name) == value(answered, name), (round_, more, query, name)
                assert status(looked) == status(answered) == 200
            hold.set()
            await within(stream.wait())


async def test_a_look_sets_no_encoder_to_work() -> None:
    """At a format that nobody has asked for yet: the type is told, and nothing is begun."""
    encodings = ScriptedEncodings()
    async with audio_place(*GOOD, encodings=encodings) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream, method="HEAD", ext="ogg")
        assert (status(head), value(head, "Content-Type"), body) == (200, "audio/ogg", b"")
        assert encodings.opened == []


# -- lines that break --------------------------------------------------------------------------------------------------


async def test_a_player_goes_on_where_its_line_broke() -> None:
    """At any byte of what is there, in the making and whole; behind the last one it waits for the next."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:]) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end > 3)
        held = stream.native.size
        places = (1, 416, 417, 418, 5000, held - 1, held)
        resuming = {
            at: asyncio.create_task(there.get(stream, more=f"Range: bytes={at}-\r\n", version=version))
            for at, version in zip(places, ("1.1", "1.0", "1.1", "1.1", "1.0", "1.1", "1.1"), strict=True)
        }
        await there.joined(stream, len(places))
        hold.set()
        for at, task in resuming.items():
            head, body = await within(task)
            assert status(head) == 206
            assert value(head, "Content-Range") == f"bytes {at}-9007199254740991/*"
            if b"Transfer-Encoding: chunked" in head:
                body, whole = dechunked(body)
                assert whole
            assert body == SONG[at:]
        for at in (1, 417, len(SONG) - 1):
            head, body = await there.get(stream, more=f"Range: bytes={at}-\r\n")
            assert (status(head), body) == (206, SONG[at:])
            assert value(head, "Content-Length") == str(len(SONG) - at)


async def test_the_whole_of_a_song_in_the_making_is_no_part() -> None:
    """`bytes=0-` is 200 without a length, and so is what cannot be told; a part that is there has its length."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:]) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end > 3)
        head, body = await there.get(stream, more="Range: bytes=100-199\r\n")
        assert (status(head), value(head, "Content-Range"), body) == (206, "bytes 100-199/*", SONG[100:200])
        asking = {
            wanted: asyncio.create_task(there.get(stream, more=f"Range: {wanted}\r\n"))
            for wanted in ("bytes=0-", "bytes=-5", "bytes=0-1,7-9")
        }
        await there.joined(stream, len(asking))
        head, body = await there.get(stream, more="Range: bytes=999999-\r\n")
        assert (status(head), json.loads(body)["error"]["code"]) == (409, "position_lost")
        hold.set()
        for task in asking.values():
            head, body = await within(task)
            assert (status(head), value(head, "Content-Range"), value(head, "Content-Length")) == (200, None, None)
            assert dechunked(body) == (SONG, True)


async def test_what_was_kept_elsewhere_is_not_continued() -> None:
    """If-Range with another tag is everything; with the tag of the answer it is the rest."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, _ = await there.get(stream)
        tag = value(head, "ETag")
        for validator, code in ((tag, 206), ('"other"', 200)):
            head, body = await there.get(stream, more=f"Range: bytes=9-\r\nIf-Range: {validator}\r\n")
            assert (status(head), body) == (code, SONG[9:] if code == 206 else SONG)


async def test_a_large_part_of_a_whole_song_is_followed_like_any_listener() -> None:
    """It has its length, ends there, and frees its place."""
    async with audio_place(*GOOD, limits=Limits(listeners=1)) as there:
        stream = await there.stream()
        await within(stream.wait())
        for wanted, part in (("bytes=1-40000", SONG[1:40001]), ("bytes=-50000", SONG[-50000:]), ("bytes=0-", SONG)):
            head, body = await there.get(stream, more=f"Range: {wanted}\r\n")
            assert (status(head), value(head, "Content-Length"), body) == (206, str(len(part)), part)
            await there.left(stream)
        assert stream.native.egress >= len(SONG)


# -- titles ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_titles_come_to_who_asks(version: str) -> None:
    """From the first sound on, whose bitrate tells the distance; the song is whole between them."""
    hold = asyncio.Event()
    async with audio_place(Accepted("r"), hold, *GOOD[1:]) as there:
        stream = await there.stream()
        listening = asyncio.create_task(there.get(stream, more=ICY, version=version))
        await there.joined(stream, 1)
        hold.set()
        head, body = await within(listening)
        distance = int(value(head, "icy-metaint") or "")
        # A frame of 128 kbit/s has not quite that many bytes.
        assert (distance, value(head, "icy-br")) == (pytest.approx(1280, abs=5), "128")
        assert value(head, "icy-name") == stream.title
        if version == "1.1":
            body, whole = dechunked(body)
            assert whole
        heard = parsed(body, distance)
        assert heard.audio == SONG
        assert heard.titles == [(distance, stream.title)]


async def test_who_asks_for_titles_of_what_never_sounds_is_told_why() -> None:
    """The head waits for the first sound, and so there still is a status to say it with, for pages too."""
    hold = asyncio.Event()
    broken = UpstreamError("upstream_timeout", "The provider took too long.")
    granted = {"Access-Control-Allow-Origin": "https://play.acme.example"}
    async with audio_place(Accepted("r"), hold, broken, grant=lambda _: granted) as there:
        stream = await there.stream()
        listening = asyncio.create_task(there.get(stream, more=ICY))
        await there.joined(stream, 1)
        hold.set()
        head, body = await within(listening)
        assert (status(head), json.loads(body)["error"]["code"]) == (504, "upstream_timeout")
        assert value(head, "Access-Control-Allow-Origin") == "https://play.acme.example"


async def test_no_title_breaks_out_of_the_head() -> None:
    """What the provider sang stands in a header as one line."""
    steps = (*GOOD[:3], Finished(4.0, lyrics="Rain\x1b'; X-Evil: 1"))
    async with audio_place(*steps, grant=lambda _: {"Vary": "Origin"}) as there:
        stream = await there.stream()
        await within(stream.wait())
        head, body = await there.get(stream, more=ICY)
        assert value(head, "icy-name") == "Rain ’, X-Evil: 1"
        assert value(head, "X-Evil") is None
        assert value(head, "Vary") == "Origin"
        distance = int(value(head, "icy-metaint") or "")
        assert parsed(dechunked(body)[0], distance).titles == [(distance, "Rain ’, X-Evil: 1")]


# -- what else clients do ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "more",
    [b"\0\xff garbage", bytes(500_000), b"GET /v1/streams/st_0/audio.mp3 HTTP/1.1\r\nHost: x\r\n\r\n"],
    ids=["garbage", "flood", "request"],
)
async def test_what_is_said_behind_the_request_is_not_answered(more: bytes) -> None:
    """There is one answer, it is the song, and its end arrives."""
    hold = asyncio.Event()
    async with audio_place(*GOOD[:2], hold, *GOOD[2:]) as there:
        stream = await there.stream()
        await soon(lambda: stream.native.end > 3)
        async with dial(there.port) as (reader, writer):
            # Without a wish to close: then nothing would be expected to come behind it.
            writer.write(there.head(stream).replace(b"Connection: close\r\n", b""))
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
            writer.write(more)
            await there.joined(stream, 1)
            hold.set()
            body = await reader.read()
        assert dechunked(body) == (SONG, True)
        await there.left(stream)


async def test_a_request_in_the_same_breath_is_not_answered_either() -> None:
    """The connection is the song's."""
    async with audio_place(*GOOD) as there:
        stream = await there.stream()
        request = there.head(stream).replace(b"Connection: close\r\n", b"")
        head, body = await exchange(there.port, request + request)
        assert status(head) == 200
        assert (dechunked(body)[0] if b"chunked" in head else body) == SONG


# -- guests ------------------------------------------------------------------------------------------------------------


def guest(uses: MemoryUses) -> Visitor:
    """A request with a ticket for one use."""
    office = TicketOffice(SigningKeys([b"a-secret-to-sign-tickets-with-in-tests"]))
    return Visitor(Principal(TENANT, "t", guest=True), uses, office.mint(TENANT, Wanted()).ticket)


async def test_what_is_refused_or_only_looked_at_costs_no_use() -> None:
    """Everything that can be known before; then the song is a use, and a second song one more, which there is not."""
    visitor, uses = None, MemoryUses()
    visitor = guest(uses)
    async with audio_place(*GOOD, visitor=visitor) as there:
        stream = await there.stream()
        await within(stream.wait())
        for query, more, code in (
            ("?since=never", "", 400),
            ("?rate=1", "", 422),
            ("", "Range: bytes=999999-\r\n", 416),
            ("?since=1", "Range: bytes=5-\r\n", 409),
            ("", "Range: bytes=0-1\r\n", 206),
        ):
            assert status((await there.get(stream, query, more=more))[0]) == code
        assert (await there.get(stream, method="HEAD"))[0].startswith(b"HTTP/1.1 200")
        request = there.head(stream).replace(stream.id.encode(), b"st_0")
        assert status((await exchange(there.port, request))[0]) == 404
        assert await uses.spend(visitor.ticket.id, 1, visitor.ticket.expires_at) if visitor.ticket else False
        head, body = await there.get(stream)
        assert (status(head), json.loads(body)["error"]["code"]) == (401, "ticket_used")


async def test_a_place_that_is_taken_costs_no_use() -> None:
    """And neither does what fails for everybody."""
    uses, hold = MemoryUses(), asyncio.Event()
    visitor = guest(uses)
    async with audio_place(*GOOD[:2], hold, *GOOD[2:], visitor=visitor, limits=Limits(listeners=1)) as there:
        stream = await there.stream()
        async with dial(there.port) as (reader, writer):
            writer.write(there.head(stream))
            assert status(await reader.readuntil(b"\r\n\r\n")) == 200
            for _ in range(2):
                head, body = await there.get(stream)
                assert (status(head), json.loads(body)["error"]["code"]) == (429, "concurrency_exceeded")
        await there.left(stream)
        hold.set()
