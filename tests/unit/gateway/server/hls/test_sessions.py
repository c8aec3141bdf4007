"""Playbacks: who belongs together, how they begin once, and how they end.

Invariant under test: bounded in number, no task for any; nothing of a credential is kept.
It must not know what is fetched.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from aiohttp.test_utils import make_mocked_request

from gateway.config.schema import Tenant
from gateway.config.secret import key_hash
from gateway.errors import AccessError, ServiceError
from gateway.model import Principal
from gateway.relay.listener import OnLag
from gateway.relay.segments import Segments
from gateway.relay.since import FromStart
from gateway.relay.stream import Stream
from gateway.server.auth import Credentials, Tenants
from gateway.server.hls.presence import Presence
from gateway.server.hls.sessions import (
    IDLE_SECONDS,
    LIFETIME_SECONDS,
    PLAYING_SECONDS,
    Playback,
    Playbacks,
    key_of,
)
from tests.support.hub import House
from tests.support.relay import TENANT, Clock, until, within

KEY = Credentials(key="wg_acme")


def request(stream: str = "st_1", **headers: str) -> web.Request:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return make_mocked_request("GET", "/", headers=named, match_info={"id": stream})


def test_what_belongs_together() -> None:
    """The same credential, song, choice, address, player and playback; each of them matters, and nothing else does."""
    mine = key_of(request(User_Agent="a", X_Playback_Session_Id="1"), KEY, "")
    assert key_of(request(User_Agent="a", X_Playback_Session_Id="1", Range="bytes=0-"), KEY, "") == mine
    others = [
        key_of(request(User_Agent="b", X_Playback_Session_Id="1"), KEY, ""),
        key_of(request(User_Agent="a", X_Playback_Session_Id="2"), KEY, ""),
        key_of(request(User_Agent="a"), KEY, ""),
        key_of(request("st_2", User_Agent="a", X_Playback_Session_Id="1"), KEY, ""),
        key_of(request(User_Agent="a", X_Playback_Session_Id="1"), Credentials(ticket="wg_acme"), ""),
        key_of(request(User_Agent="a", X_Playback_Session_Id="1"), Credentials(key="other"), ""),
        key_of(request(User_Agent="a", X_Playback_Session_Id="1"), Credentials(), ""),
        key_of(request(User_Agent="a", X_Playback_Session_Id="1"), KEY, "rate=22050"),
    ]
    assert len({mine, *others}) == len(others) + 1
    assert b"wg_acme" not in mine
    assert key_of(request(), Credentials(ticket="\ud800\udcff"), "") != mine


class Scene:
    """A stream, and playbacks of it."""

    def __init__(self, house: House, stream: Stream, most: int) -> None:
        self.house, self.stream = house, stream
        self.tenants = Tenants([Tenant(id="acme", keys=[key_hash("wg_acme")])])
        self.clock = Clock()
        self.all = Playbacks(house.hub, self.tenants, self.clock, most)
        self.begun = 0

    async def begin(self, key: bytes) -> Playback:
        self.begun += 1
        await asyncio.sleep(0)
        presence, native = Presence(), self.stream.native
        listener, _ = self.house.hub.attach(self.stream, native, presence, FromStart(), OnLag.COMPLETE)
        listener.join()
        principal = Principal(TENANT, key_hash("wg_acme")[7:15], guest=key.startswith(b"guest"))
        return Playback(key, principal, None, self.stream, listener, presence, Segments.of(native))

    async def open(self, key: bytes) -> Playback:
        return await self.all.open(key, lambda: self.begin(key))


@asynccontextmanager
async def scene(most: int = 10) -> AsyncIterator[Scene]:
    house = House()
    async with house.hub:
        yield Scene(house, await house.finish(), most)


async def test_it_is_begun_once_however_many_ask() -> None:
    """They wait for the first, and have the same; another name is another."""
    async with scene() as there:
        found = await asyncio.gather(*[there.open(b"a") for _ in range(5)], there.open(b"b"))
        assert (len(set(found)), there.begun, len(there.all), there.stream.listeners) == (2, 2, 2, 2)
        assert there.all.find(b"a") is found[0]
        assert there.all.find(b"c") is None


async def test_a_refusal_is_everybodys() -> None:
    """Who waited for one that was refused tries by itself, and nothing is left of it."""
    async with scene() as there:
        tries = 0

        async def refuse() -> Playback:
            nonlocal tries
            tries += 1
            await asyncio.sleep(0)
            raise AccessError("ticket_used", "This ticket has been used.")

        asked = [there.all.open(b"a", refuse) for _ in range(3)]
        answers = await asyncio.gather(*asked, return_exceptions=True)
        assert [type(answer) for answer in answers] == [AccessError] * 3
        assert (tries, len(there.all)) == (3, 0)
        await there.open(b"a")


async def test_there_is_a_bounded_number() -> None:
    """Those that are being begun count; who is in already is not turned away."""
    async with scene(most=2) as there:
        await there.open(b"a")
        opening = asyncio.create_task(there.open(b"b"))
        await until(lambda: there.begun == 2)
        with pytest.raises(ServiceError, match="come back") as full:
            await there.open(b"c")
        assert (full.value.code, full.value.retry_after) == ("overloaded", 5.0)
        await within(opening)
        assert await there.open(b"a") is there.all.find(b"a")
        assert there.begun == 2


async def test_whoever_is_silent_goes() -> None:
    """Oldest first, and none that was heard of since; what has ended is not heard of any more."""
    async with scene() as there:
        first, second = await there.open(b"a"), await there.open(b"b")
        there.clock.at += IDLE_SECONDS - 1
        assert there.all.find(b"a") is first
        there.all.sweep()
        assert len(there.all) == 2
        there.clock.at += 1
        there.all.sweep()
        assert (first.over, second.over, there.stream.listeners) == (False, True, 1)
        there.all.heard_of(second)
        assert there.all.find(b"b") is None
        there.clock.at += IDLE_SECONDS
        there.all.sweep()
        there.all.sweep()
        assert (len(there.all), there.stream.listeners) == (0, 0)


async def test_none_lasts_for_ever() -> None:
    """However often it asks: it begins anew, which takes a credential that is good then."""
    async with scene() as there:
        first, begun = await there.open(b"a"), there.clock.at
        while there.clock.at <= begun + LIFETIME_SECONDS:
            assert there.all.find(b"a") is first
            there.clock.at += IDLE_SECONDS / 2
            there.all.sweep()
        assert (there.all.find(b"a"), first.over, there.stream.listeners) == (None, True, 0)
        assert await there.open(b"a") is not first


async def test_whoever_is_kept_waiting_is_not_silent() -> None:
    """Its time begins anew when it has its answer."""
    async with scene() as there:
        waiting = await there.open(b"a")
        waiting.held += 1
        there.clock.at += 2 * IDLE_SECONDS
        there.all.sweep()
        assert not waiting.over
        waiting.held -= 1
        there.clock.at += IDLE_SECONDS
        there.all.sweep()
        assert waiting.over
        there.all.end(waiting)


async def test_one_timer_is_for_all(monkeypatch: pytest.MonkeyPatch) -> None:
    """It looks again and again, until it is cancelled."""
    monkeypatch.setattr("gateway.server.hls.sessions._TICK_SECONDS", 0.0)
    async with scene() as there:
        running = asyncio.create_task(there.all.run())
        for key in (b"a", b"b"):
            await there.open(key)
            there.clock.at += IDLE_SECONDS
            await until(lambda: len(there.all) == 0)
        running.cancel()
        await asyncio.wait([running])


async def test_a_tenant_or_a_key_that_is_gone_ends_them() -> None:
    """A guest stays as long as its tenant does."""
    async with scene() as there:
        owner, guest = await there.open(b"owner"), await there.open(b"guest")
        there.all.recheck()
        assert not owner.over
        there.tenants.replace([Tenant(id="acme", keys=[key_hash("new")])])
        there.all.recheck()
        assert (owner.over, guest.over) == (True, False)
        there.tenants.replace([])
        there.all.recheck()
        assert (guest.over, len(there.all), there.stream.listeners) == (True, 0, 0)


async def test_whose_key_goes_while_a_playback_begins_has_none() -> None:
    """The reload has not seen it: it is looked at once more when it is there."""
    async with scene() as there:
        there.tenants.replace([Tenant(id="acme", keys=[key_hash("new")])])
        owner, guest = await there.open(b"owner"), await there.open(b"guest")
        assert (owner.over, guest.over, len(there.all), there.stream.listeners) == (True, False, 1, 1)


async def test_the_end_of_all() -> None:
    """Closing ends each; a second call does nothing."""
    async with scene() as there:
        ended = [await there.open(name) for name in (b"a", b"b")]
        there.all.close()
        there.all.close()
        assert [one.over for one in ended] == [True, True]
        assert there.stream.listeners == 0


async def test_who_plays_is_known_when_the_gateway_stops() -> None:
    """One that has asked for something just now, until it has been given the last of the song; others may be gone."""
    async with scene() as there:
        assert not there.all.playing
        playback = await there.open(b"a")
        assert there.all.playing
        assert not playback.finished
        there.clock.at += PLAYING_SECONDS
        assert not there.all.playing
        there.all.heard_of(playback)
        assert there.all.playing
        playback.listener.next = playback.segments.channel.end
        assert playback.finished
        assert not there.all.playing
        there.all.end(playback)
        assert playback.finished
