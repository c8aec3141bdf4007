"""The handlers of …/hls/: the playlist that grows, the init, and the segments, all from the one mp4 rendition.

A playback begins with the first request that is more than a look, and spends a use of a ticket; all others of it spend
none. Invariant: no encoder, no audio and no task belongs to a player; every wait is bounded; a ticket goes along in
every URI, because players do not inherit a query. It must not know how segments are cut, or how players are counted.
"""

import math
import re
from collections.abc import Callable
from functools import partial
from urllib.parse import urlencode
from weakref import WeakKeyDictionary

from aiohttp import web

from gateway.errors import AccessError, RequestError
from gateway.relay.hub import Hub
from gateway.relay.listener import OnLag
from gateway.relay.replica import AnyStream
from gateway.relay.segments import Segment, Segments
from gateway.relay.since import FromStart
from gateway.relay.wishes import Wished, possible
from gateway.server.admission import Admission
from gateway.server.auth import Tenants, credentials, page_of
from gateway.server.forwarding import host_of
from gateway.server.hls import answers
from gateway.server.hls.playlist import OPENING, Playlist
from gateway.server.hls.presence import Presence
from gateway.server.hls.sessions import LIFETIME_SECONDS, Playback, Playbacks, key_of
from gateway.server.hls.shelf import Shelf, etag_of
from gateway.server.query import asked_format
from gateway.server.reception import TENANT, Reception
from gateway.server.tickets import is_probe
from transcode.formats import MP4

# A player that gets an empty playlist looks again seconds later, or gives up: so it waits. hls.js gives up after 20 s.
HOLD_SECONDS = 15.0
# Chromium's own player gives up at less than three segments, and hls.js stalls with less than two: with two of them the
# third is waited for, which at real time takes a second.
ENOUGH, AT_LEAST = 3, 2
THIRD_SECONDS = 1.5
# Chromium's own player does not wait before it asks again, 80 times a second: whoever comes back so soon is answered
# when there is news, or after the time that it was to wait.
HASTE_SECONDS = 0.4
RELOAD_SECONDS = 1.0
# A player that is ahead asks for the next segment, and one that paused for one of a format that has to be made again.
NEXT_SECONDS = 3.0
# No segment but the last is shorter, where nothing is lost.
_SHORTEST_SECONDS = 0.9

_NUMBER = re.compile(r"0|[1-9]\d{0,8}", re.ASCII)
_OPTIONS = ("rate", "channels", "bitrate", "loudness")
_PROBED = OPENING[:2]


class HlsDoor:
    """`playbacks` are its sessions, of `lifetime` seconds at most, which somebody has to `run`."""

    def __init__(
        self,
        hub: Hub,
        tenants: Tenants,
        reception: Reception,
        admission: Admission,
        now: Callable[[], float],
        lifetime: float = LIFETIME_SECONDS,
    ) -> None:
        self.playbacks = Playbacks(hub, tenants, now, lifetime=lifetime)
        self._hub = hub
        self._tenants = tenants
        self._reception = reception
        self._admission = admission
        self._now = now
        self._shelf = Shelf()
        self._playlists: WeakKeyDictionary[Segments, Playlist] = WeakKeyDictionary()

    def routes(self) -> list[web.RouteDef]:
        base = "/v1/streams/{id}/hls"
        return [
            web.get(f"{base}/index.m3u8", self.index),
            web.get(f"{base}/init.mp4", self.init),
            web.get(f"{base}/{{number}}.m4s", self.segment),
        ]

    # -- the three kinds of files ------------------------------------------------------------------------------------

    async def index(self, request: web.Request) -> web.Response:
        """The playlist; held while it has too few segments to begin with."""
        if _only_looks(request):
            segments = await self._look(request)
            if request.method != "HEAD":
                return answers.beginning_of_playlist(_PROBED)
            # Of what is not made nobody knows how long it will be.
            return self._playlist(request, segments) if segments is not None else answers.playlist(b"", zipped=False)
        playback = await self._playback(request)
        segments = playback.segments
        await self._reach(playback, AT_LEAST, HOLD_SECONDS)
        if segments.made >= AT_LEAST:
            await self._reach(playback, ENOUGH, THIRD_SECONDS)
        if playback.told == segments.made and self._now() - playback.told_at < HASTE_SECONDS:
            await self._reach(playback, segments.made + 1, RELOAD_SECONDS)
        playback.told, playback.told_at = segments.made, self._now()
        return self._playlist(request, segments)

    async def init(self, request: web.Request) -> web.Response:
        """What a decoder needs before any segment."""
        if _only_looks(request):
            segments = await self._look(request)
        else:
            playback = await self._playback(request)
            segments = playback.segments
            await self._reach(playback, 1, HOLD_SECONDS)
        if segments is None or segments.channel.init is None:
            raise _nothing_there()
        body = segments.channel.init.payload
        return answers.file(request, body, etag_of(body), lambda size: None)

    async def segment(self, request: web.Request) -> web.Response:
        """One segment; held for a moment if it is about to be."""
        if _NUMBER.fullmatch(request.match_info["number"]) is None:
            raise _nothing_there()
        number, playback = int(request.match_info["number"]), None
        if _only_looks(request):
            segments = await self._look(request)
        else:
            playback = await self._playback(request, number)
            segments = playback.segments
            if number >= segments.made and _comes(playback.stream, segments, number):
                await self._reach(playback, number + 1, NEXT_SECONDS)
        segment = segments.find(number) if segments is not None else None
        if segments is None or segment is None:
            raise _nothing_there()
        body, etag = self._shelf.take(segments, segment)
        return answers.file(request, body, etag, partial(_count, playback, segment))

    def _playlist(self, request: web.Request, segments: Segments) -> web.Response:
        zipped = answers.takes_gzip(request.headers)
        playlist = self._playlists.get(segments)
        if playlist is None:
            playlist = self._playlists[segments] = Playlist()
        return answers.playlist(playlist.body(segments, _query(request), zipped=zipped), zipped=zipped)

    # -- who asks ----------------------------------------------------------------------------------------------------

    async def _playback(self, request: web.Request, number: int = 0) -> Playback:
        """The one that this request belongs to; begun with it, if it is the first."""
        key = key_of(request, credentials(request.headers, request.query), _choice(request))
        playback = self.playbacks.find(key)
        if playback is None:
            playback = await self.playbacks.open(key, partial(self._begin, request, key, number))
        self._check(request, playback)
        return playback

    def _check(self, request: web.Request, playback: Playback) -> None:
        """As the reception does, but whoever was let in is not asked for a ticket's age again.

        Raises AccessError, and why the player has been sent away.
        """
        origin, tenant = request.headers.get("Origin"), playback.principal.tenant
        request[TENANT] = tenant
        if playback.ticket is not None:
            playback.ticket.check_origin(origin or page_of(request.headers))
        else:
            self._tenants.check_key_in_page(origin)
        self._tenants.check_page(tenant, origin, host_of(request))
        self._check_there(playback)

    def _check_there(self, playback: Playback) -> None:
        if playback.presence.error is not None:
            self.playbacks.end(playback)
            raise playback.presence.error.again()
        if playback.over:
            raise AccessError("bad_credentials", "This player may not listen any more.")

    async def _begin(self, request: web.Request, key: bytes, number: int) -> Playback:
        """A mistake costs no use. Raises WavegateError, and why there is no sound."""
        self._admission.check_newcomer()
        visitor, stream = await self._reception.listener(request)
        wished, tenant, stream_id = _wished(request), stream.tenant, stream.id
        _check_sound(stream)
        channel = await stream.obtain(wished)
        if number and not _comes(stream, Segments.of(channel), number):
            raise _nothing_there()
        self._hub.check_listeners(tenant)
        await visitor.enter()
        # It may have gone meanwhile, and others may have come.
        stream = self._hub.get(tenant, stream_id)
        channel = await stream.obtain(wished)
        presence = Presence()
        listener, _ = self._hub.attach(stream, channel, presence, FromStart(), OnLag.COMPLETE)
        listener.join()
        return Playback(key, visitor.principal, visitor.ticket, stream, listener, presence, Segments.of(channel))

    async def _reach(self, playback: Playback, count: int, seconds: float) -> None:
        """Waits for so many segments, but no longer. Raises what has come meanwhile, and why there is no sound."""
        playback.held += 1
        try:
            await playback.segments.reach(count, seconds)
        finally:
            playback.held -= 1
        self._check_there(playback)
        self.playbacks.heard_of(playback)
        outcome = playback.segments.channel.outcome
        if outcome is not None and outcome.error is not None and not playback.segments.made:
            # Where the format failed and not the song, another try may do better. More requests of this player may be
            # waiting here, and are told the same.
            playback.presence.refused(outcome.error)
            self.playbacks.end(playback)
            raise outcome.error.again()

    async def _look(self, request: web.Request) -> Segments | None:
        """What is there for one who is no listener: it costs nothing, and nothing is begun. None where nothing is made.

        Raises AccessError, RequestError, and why there is no sound.
        """
        key = key_of(request, credentials(request.headers, request.query), _choice(request))
        playback = self.playbacks.find(key)
        if playback is not None:
            self._check(request, playback)
            return playback.segments
        _, stream = await self._reception.listener(request)
        _check_sound(stream)
        channel = await stream.look(_wished(request))
        return Segments.of(channel) if channel is not None else None


def _only_looks(request: web.Request) -> bool:
    # An If-Range that does not hold would make all of the file of two bytes of it.
    conditional = request.method != "HEAD" and "If-Range" in request.headers
    return not conditional and is_probe(request.method, request.headers.get("Range"))


def _wished(request: web.Request) -> list[Wished]:
    """Raises RequestError."""
    return possible([asked_format(MP4.name, request.query)])


def _choice(request: web.Request) -> str:
    """The options of the format, as they go along in every URI."""
    query = request.query
    return urlencode([(name, query[name]) for name in _OPTIONS if name in query]) if query else ""


def _query(request: web.Request) -> str:
    """What stands behind every URI; what comes in a header comes with every request by itself."""
    parts = [_choice(request)]
    if "ticket" in request.query and "Authorization" not in request.headers:
        parts.insert(0, urlencode({"ticket": request.query["ticket"]}))
    query = "&".join(filter(None, parts))
    return f"?{query}" if query else ""


def _check_sound(stream: AnyStream) -> None:
    """Raises why there is none."""
    if stream.error is not None and stream.silent:
        raise stream.error.again()


def _comes(stream: AnyStream, segments: Segments, number: int) -> bool:
    """Whether a segment is there or is on its way: the next one, or one of which the sound has come already."""
    return number <= segments.made or number * _SHORTEST_SECONDS <= stream.received_seconds


def _nothing_there() -> RequestError:
    return RequestError("not_found", "There is no such part of this song, or it is no longer kept.")


def _count(playback: Playback | None, segment: Segment, size: int) -> None:
    """So many bytes of a segment went to a player; a look is not counted."""
    if playback is None:
        return
    channel = playback.segments.channel
    tally = channel.tally(Presence.name)
    tally.chunks += math.ceil((segment.end - segment.first) * size / segment.size)
    tally.size += size
    channel.flush_tallies()
    playback.listener.fetched(segment.first, segment.end, size)
