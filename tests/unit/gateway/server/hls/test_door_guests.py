"""The HLS door and its guests: who counts as a listener, what a ticket is used for, and who is refused.

Invariant under test: a playback is one listener and one use of a ticket, however often it asks; a look or a refusal
costs none. It must not know how segments are cut.
"""

import asyncio
import json
from typing import Any

import pytest

from gateway.config.schema import Limits, Tenant
from gateway.config.secret import key_hash
from gateway.errors import LimitError
from gateway.model import Accepted, AudioDelta, Finished
from gateway.relay.segments import Segments
from tests.support.hls import hls_place, mp3_song, whole
from tests.support.relay import within
from tests.support.server import KEY, Room, soon

SONG = whole(3.5)


def code(answer: tuple[int, Any, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["error"]["code"]


def segments_in(playlist: bytes) -> list[str]:
    return [line for line in playlist.decode().splitlines() if not line.startswith("#")]


async def test_a_playback_is_one_use_and_goes_on_when_the_ticket_has_expired(monkeypatch: pytest.MonkeyPatch) -> None:
    """The ticket goes along in every URI; another player finds it used."""
    async with hls_place(*SONG) as there:
        stream = await there.listened()
        there.door.playbacks.close()
        ticket = there.ticket(uses=1, stream_id=stream.id, ttl_seconds=60)
        status, _, body = await there.get(stream, params={"ticket": ticket})
        assert status == 200
        assert f'#EXT-X-MAP:URI="init.mp4?ticket={ticket}"\n'.encode() in body
        names = [uri.removesuffix(f"?ticket={ticket}") for uri in segments_in(body)]
        assert names == ["0.m4s", "1.m4s", "2.m4s", "3.m4s"]
        other = {"User-Agent": "another player"}
        assert code(await there.get(stream, params={"ticket": ticket}, headers=other)) == (401, "ticket_used")
        office = there.room.tenants.office
        monkeypatch.setattr(office, "_now", lambda real=office._now: real() + 3600)
        for name in ("init.mp4", *names, "index.m3u8"):
            assert (await there.get(stream, name, params={"ticket": ticket}))[0] == 200
        refused = await there.get(stream, params={"ticket": ticket}, headers=other)
        assert code(refused) == (401, "credentials_expired")
        assert (stream.listeners, len(there.door.playbacks)) == (1, 1)


async def test_a_ticket_in_a_header_stays_there() -> None:
    """A player that sends it with every request needs it in no address."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        headers = {"Authorization": f"Bearer {there.ticket(uses=1)}"}
        _, _, body = await there.get(stream, headers=headers)
        assert segments_in(body)[0] == "0.m4s"
        assert (await there.get(stream, "0.m4s", headers=headers))[0] == 200
        other = await there.get(stream, headers=headers | {"User-Agent": "other"})
        assert code(other) == (401, "ticket_used")


async def test_nothing_is_free() -> None:
    """A segment or an init without a playlist before it begins a playback; what is not there costs no use."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        for name in ("0.m4s", "init.mp4", "index.m3u8"):
            ticket = there.ticket(uses=1)
            assert code(await there.get(stream, "99.m4s", params={"ticket": ticket})) == (404, "not_found")
            assert (await there.get(stream, name, params={"ticket": ticket}))[0] == 200
            other = {"User-Agent": "other"}
            for late in ("2.m4s", "init.mp4", "index.m3u8"):
                refused = await there.get(stream, late, params={"ticket": ticket}, headers=other)
                assert code(refused) == (401, "ticket_used")
        assert stream.listeners == 3


async def test_a_look_costs_nothing_and_begins_nothing() -> None:
    """HEAD, and a probe of the first two bytes: no use, no listener, no encoder; in a playback they are answered."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        await stream.wait()
        ticket = {"ticket": there.ticket(uses=1)}
        probe = {"Range": "bytes=0-1"}
        status, headers, _ = await there.get(stream, method="HEAD", params=ticket)
        assert (status, headers["Content-Type"]) == (200, "application/vnd.apple.mpegurl")
        assert "Content-Length" not in headers
        assert (await there.get(stream, headers=probe, params=ticket))[::2] == (206, b"#E")
        assert code(await there.get(stream, "0.m4s", headers=probe, params=ticket)) == (404, "not_found")
        assert (await there.get(stream, "init.mp4", method="HEAD", params=ticket))[0] == 404
        assert len(list(stream.renditions)) == 1
        for _ in range(2):
            assert (stream.listeners, stream.traffic()) == (0, None)
            for one in (ticket, {}):
                await there.get(stream, params=one, headers={"User-Agent": "one"})
            status, headers, body = await there.get(stream, "0.m4s", headers=probe, params=ticket)
            assert (status, len(body), headers["Content-Range"][:10]) == (206, 2, "bytes 0-1/")
            status, headers, _ = await there.get(stream, method="HEAD", params=ticket)
            assert int(headers["Content-Length"]) > 100
            there.door.playbacks.close()
            ticket = {"ticket": there.ticket(uses=1)}


async def test_what_may_become_the_whole_is_no_look() -> None:
    """Two bytes of a file, if it has not changed: where it has, HTTP gives all of it, so it costs a use."""
    async with hls_place(*SONG) as there:
        stream = await there.listened()
        ticket = {"ticket": there.ticket(uses=1)}
        unsure = {"Range": "bytes=0-1", "If-Range": '"another"'}
        assert (await there.get(stream, "0.m4s", method="HEAD", headers=unsure, params=ticket))[0] == 200
        assert stream.listeners == 1
        status, _, body = await there.get(stream, "0.m4s", headers=unsure, params=ticket)
        assert (status, len(body) > 2, stream.listeners) == (200, True, 2)
        other = unsure | {"User-Agent": "other"}
        for name in ("index.m3u8", "init.mp4", "0.m4s"):
            assert code(await there.get(stream, name, headers=other, params=ticket)) == (401, "ticket_used")


async def test_what_was_sent_is_counted() -> None:
    """Bytes of segments as far as they went out, the position, and nothing for a HEAD, a 304 or an init."""
    async with hls_place(*SONG) as there:
        stream = await there.listened()
        channel = next(one for one in stream.renditions if one.format.name == "mp4")
        await there.get(stream, "init.mp4")
        _, headers, body = await there.get(stream, "1.m4s", method="HEAD")
        await there.get(stream, "1.m4s", headers={"If-None-Match": headers["ETag"]})
        assert channel.egress == 0
        _, _, body = await there.get(stream, "1.m4s")
        await soon(lambda: channel.egress == len(body))
        await there.get(stream, "2.m4s", headers={"Range": "bytes=0-99"})
        await soon(lambda: channel.egress == len(body) + 100)
        (listener,) = channel.listeners
        heard = Segments.of(channel).find(2)
        assert heard is not None
        assert listener.position.seq == heard.end  # type: ignore[attr-defined]  # it is a Listener
        assert stream.renditions.egress == channel.egress


async def test_a_player_that_is_gone_is_no_listener() -> None:
    """After a while without a request; whoever is heard of stays, and abandoning begins when the last is gone."""
    hold = asyncio.Event()
    async with hls_place(Accepted("r"), AudioDelta(mp3_song(3.2)), hold, limits=Limits(listeners=2)) as there:
        stream = await there.stream()
        for agent in ("one", "two"):
            await there.get(stream, headers={"User-Agent": agent})
        refused = await there.get(stream, params={"ticket": there.ticket(uses=1)})
        assert code(refused) == (429, "concurrency_exceeded")
        there.clock.at += 19.0
        await there.get(stream, "0.m4s", headers={"User-Agent": "two"})
        there.clock.at += 1.0
        there.door.playbacks.sweep()
        assert (stream.listeners, len(there.door.playbacks)) == (1, 1)
        there.clock.at += 20.0
        there.door.playbacks.sweep()
        assert (stream.listeners, len(there.door.playbacks)) == (0, 0)


async def test_many_requests_at_once_are_one_playback() -> None:
    """All that a player asks for before its first answer: one use, one listener, one encoder."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        params = {"ticket": there.ticket(uses=1)}
        names = ("index.m3u8", "init.mp4", "0.m4s", "1.m4s", "index.m3u8")
        answers = await asyncio.gather(*[there.get(stream, name, params=params) for name in names])
        assert [status for status, _, _ in answers] == [200] * 5
        assert (stream.listeners, len(there.door.playbacks)) == (1, 1)
        again = {"User-Agent": "another"}
        answers = await asyncio.gather(*[there.get(stream, name, params=params, headers=again) for name in names])
        assert {code(answer) for answer in answers} == {(401, "ticket_used")}


async def test_a_key_that_is_gone_is_served_no_more() -> None:
    """A playback ends with its key or its tenant, also one whose first playlist is waited for; others go on."""
    hold = asyncio.Event()
    async with hls_place(Accepted("r"), hold, Finished(1.0)) as there:
        stream = await there.stream()
        held = asyncio.create_task(there.get(stream))
        guest = asyncio.create_task(there.get(stream, params={"ticket": there.ticket(uses=1)}))
        await soon(lambda: stream.listeners == 2)
        there.room.tenants.replace([Tenant(id="acme", keys=[key_hash("another")])])
        there.door.playbacks.recheck()
        assert stream.listeners == 1
        stream.cancel()
        assert code(await within(held)) == (401, "bad_credentials")
        assert code(await within(guest)) == (409, "cancelled")
        assert code(await there.get(stream)) == (401, "bad_credentials")
        there.room.tenants.replace([Tenant(id="other", keys=[key_hash(KEY)])])
        there.door.playbacks.recheck()
        assert stream.listeners == 0


async def test_all_that_a_player_waits_for_is_told_why_there_is_no_sound() -> None:
    """The first answer ends the playback; the others are told the same, not that the player may not listen."""
    hold = asyncio.Event()
    async with hls_place(Accepted("r"), hold, Finished(1.0)) as there:
        stream = await there.stream()
        held = [asyncio.create_task(there.get(stream)) for _ in range(3)]
        await soon(lambda: [one.held for one in there.door.playbacks._all.values()] == [3])
        stream.cancel()
        assert [code(await within(one)) for one in held] == [(409, "cancelled")] * 3
        assert len(there.door.playbacks) == 0


async def test_a_ticket_for_one_page_stays_there() -> None:
    """Also for whoever would ride on a playback that page began."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        page, other = "https://play.acme.example", "https://evil.example"
        there.room.tenants.replace([Tenant(id="acme", keys=[key_hash(KEY)], allowed_origins=[page, other])])
        params = {"ticket": there.ticket(uses=1, origin=page)}
        assert (await there.get(stream, params=params, headers={"Origin": page}))[0] == 200
        assert (await there.get(stream, "0.m4s", params=params, headers={"Referer": f"{page}/x"}))[0] == 200
        for name in ("index.m3u8", "0.m4s"):
            for method in ("GET", "HEAD"):
                status, _, _ = await there.get(stream, name, method, params=params, headers={"Origin": other})
                assert status == 403
        assert (await there.get(stream))[0] == 200
        for name in ("index.m3u8", "0.m4s"):
            assert code(await there.get(stream, name, headers={"Origin": page})) == (403, "key_in_browser")
        both = {"ticket": there.ticket(uses=1)}
        asked = [there.get(stream, params=both, headers={"Origin": origin}) for origin in (page, "https://x.example")]
        assert {status for status, _, _ in await asyncio.gather(*asked)} == {200, 403}
        free = {"ticket": there.ticket(uses=1)}
        assert (await there.get(stream, params=free, headers={"Origin": page}))[0] == 200
        stranger = await there.get(stream, "0.m4s", params=free, headers={"Origin": "https://stranger.example"})
        assert code(stranger) == (403, "origin_forbidden")


async def test_who_may_not_is_refused_in_the_words_of_the_contract() -> None:
    """Without credentials, with bad ones, for a stream that is another's, and where there is no room."""
    room = Room(limit=5)
    async with hls_place(*SONG, room=room) as there:
        stream = await there.stream()
        for name in ("index.m3u8", "init.mp4", "0.m4s"):
            for method in ("GET", "HEAD"):
                async with there.nobody.request(method, there.url(stream, name)) as response:
                    assert response.status == 401
            nonsense = await there.get(stream, name, params={"ticket": "nonsense"})
            assert code(nonsense) == (401, "bad_credentials")
            theirs = await there.get(stream, name, headers={"Authorization": "Bearer wg_other"})
            assert code(theirs) == (404, "stream_not_found")
            elsewhere = await there.get(stream, name, params={"ticket": there.ticket(stream_id="st_other")})
            assert code(elsewhere) == (404, "stream_not_found")
            forbidden = await there.get(stream, name, params={"ticket": there.ticket(allow=["create"])})
            assert code(forbidden) == (403, "forbidden")
        assert (await there.get(stream))[0] == 200
        room.occupied = 6
        late = {"User-Agent": "late"}
        assert code(await there.get(stream, headers=late)) == (503, "overloaded")
        assert (await there.get(stream, "0.m4s"))[0] == 200


async def test_who_is_sent_away_is_told_why() -> None:
    """By the relay, for the tenant's bytes of the day: at the next request, or in the one that is held; then anew."""
    hold = asyncio.Event()
    spent = LimitError("quota_exceeded", "The bytes of the day are used up.", retry_after=60.0)
    async with hls_place(Accepted("r"), AudioDelta(mp3_song(3.5)), hold, Finished(1.0)) as there:
        stream = await there.stream()
        for name, method in (("1.m4s", "GET"), ("index.m3u8", "HEAD"), ("init.mp4", "GET")):
            assert (await there.get(stream))[0] == 200
            channel = next(one for one in stream.renditions if one.format.name == "mp4")
            for listener in tuple(channel.listeners):
                listener.refuse(spent)
            assert stream.listeners == 0
            assert (await there.get(stream, name, method))[0] == 429
            assert len(there.door.playbacks) == 0
        await there.get(stream)
        held = asyncio.create_task(there.get(stream, "3.m4s"))
        await soon(lambda: any(one._waiting for one in there.door._playlists))
        for listener in tuple(channel.listeners):
            listener.refuse(spent)
        hold.set()
        assert code(await within(held)) == (429, "quota_exceeded")
