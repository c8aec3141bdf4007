"""The HLS door without a provider: what a player is given, when, and what it costs a guest.

Invariant under test: segments are the channel's own bytes, the same for everybody; every wait has its end, and every
refusal is the error body of the contract.
"""

import asyncio
import gzip
import json
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished
from gateway.server.hls import door as module
from tests.support.hls import SEGMENT, hls_place, mp3_song, whole
from tests.support.relay import within
from tests.support.server import soon

SONG = whole(3.5)
LINES = """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0,PRECISE=YES
#EXT-X-MAP:URI="init.mp4?"
#EXTINF:1.021678,
0.m4s?
#EXTINF:1.044898,
1.m4s?
#EXTINF:1.044898,
2.m4s?
"""


def code(answer: tuple[int, Any, bytes]) -> tuple[int, str]:
    return answer[0], json.loads(answer[2])["error"]["code"]


def segments_in(playlist: bytes) -> list[str]:
    return [line for line in playlist.decode().splitlines() if not line.startswith("#")]


# -- the playlist ------------------------------------------------------------------------------------------------------


async def test_the_first_playlist_waits_for_three_segments() -> None:
    """With two of them it still waits; then it is there, and grows until the song is whole."""
    more, end = asyncio.Event(), asyncio.Event()
    song = mp3_song(3.5)
    first, rest = song[: 5 * SEGMENT // 2], song[5 * SEGMENT // 2 :]
    async with hls_place(Accepted("r"), AudioDelta(first), more, AudioDelta(rest), end, Finished(3.5)) as there:
        stream = await there.stream()
        asking = asyncio.create_task(there.get(stream))
        await soon(lambda: stream.listeners == 1)
        channel = next(one for one in stream.renditions if one.format.name == "mp4")
        await soon(lambda: channel.end_pts > 2 * SEGMENT)
        assert not asking.done()
        more.set()
        status, headers, body = await within(asking)
        assert (status, body.decode()) == (200, LINES.replace("?", ""))
        assert headers["Content-Type"] == "application/vnd.apple.mpegurl"
        assert headers["Cache-Control"] == "no-store"
        end.set()
        await soon(lambda: channel.outcome is not None)
        _, _, body = await there.get(stream)
        text = body.decode()
        assert "#EXT-X-PLAYLIST-TYPE:VOD" in text
        assert text.endswith("3.m4s\n#EXT-X-ENDLIST\n")
        assert text.startswith(LINES.split("#EXT-X-PLAYLIST")[0])


async def test_two_segments_are_enough_when_the_third_is_long_in_coming(monkeypatch: pytest.MonkeyPatch) -> None:
    """And one is, or none, when nothing more comes for very long: every wait has its end."""
    hold = asyncio.Event()
    for seconds, listed in ((2.7, 2), (1.5, 1)):
        async with hls_place(Accepted("r"), AudioDelta(mp3_song(seconds)), hold, Finished(1.0)) as there:
            stream = await there.stream()
            monkeypatch.setattr(module, "THIRD_SECONDS", 0.05)
            monkeypatch.setattr(module, "HOLD_SECONDS", 0.5)
            _, _, body = await there.get(stream)
            assert len(segments_in(body)) == listed
    async with hls_place(Accepted("r"), hold, Finished(1.0)) as there:
        monkeypatch.setattr(module, "HOLD_SECONDS", 0.05)
        status, _, body = await there.get(await there.stream())
        assert (status, segments_in(body), b"ENDLIST" in body, b"MAP" in body) == (200, [], False, False)


async def test_a_song_that_fails_midway_ends_its_playlist() -> None:
    """What came is listed, and that nothing follows; one without any sound says why there is none."""
    broken = UpstreamError("upstream_interrupted", "The provider broke off in the middle of the song.")
    async with hls_place(Accepted("r"), AudioDelta(mp3_song(1.2)), broken) as there:
        status, _, body = await there.get(await there.stream())
        assert (status, segments_in(body)) == (200, ["0.m4s", "1.m4s"])
        assert body.endswith(b"#EXT-X-ENDLIST\n")
    hold = asyncio.Event()
    async with hls_place(Accepted("r"), hold, broken) as there:
        stream = await there.stream()
        asking = asyncio.create_task(there.get(stream))
        await soon(lambda: stream.listeners == 1)
        hold.set()
        assert code(await within(asking)) == (502, "upstream_interrupted")
        await stream.wait()
        for name in ("index.m3u8", "init.mp4", "0.m4s"):
            assert code(await there.get(stream, name, headers={"User-Agent": "late"})) == (502, "upstream_interrupted")
        assert (await there.get(stream, method="HEAD", headers={"User-Agent": "late"}))[0] == 502
        assert (len(there.door.playbacks), stream.listeners) == (0, 0)


async def test_gzip_for_those_who_take_it() -> None:
    """The same playlist, and a proxy is told."""
    async with hls_place(*SONG) as there:
        stream = await there.listened()
        _, headers, plain = await there.get(stream, headers={"Accept-Encoding": "identity"})
        assert "Content-Encoding" not in headers
        async with there.http.get(there.url(stream), headers={"Accept-Encoding": "br, gzip"}) as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert response.headers["Vary"] == "Accept-Encoding"
            assert int(response.headers["Content-Length"]) == len(gzip.compress(plain, 1, mtime=0))
            assert await response.read() == plain


async def test_a_player_in_haste_waits_for_news(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who asks again at once hears of the next segment when it is there; who took its time is answered at once."""
    more = asyncio.Event()
    song = mp3_song(4.5)
    first, rest = song[: 13 * SEGMENT // 4], song[13 * SEGMENT // 4 :]
    async with hls_place(Accepted("r"), AudioDelta(first), more, AudioDelta(rest), Finished(1.0)) as there:
        stream = await there.stream()
        assert len(segments_in((await there.get(stream))[2])) == 3
        there.clock.at += 2 * module.HASTE_SECONDS
        assert len(segments_in((await there.get(stream))[2])) == 3
        monkeypatch.setattr(module, "RELOAD_SECONDS", 20.0)
        asking = asyncio.create_task(there.get(stream))
        await soon(lambda: any(one._waiting for one in there.door._playlists))
        assert not asking.done()
        more.set()
        assert len(segments_in((await within(asking))[2])) >= 4


# -- files -------------------------------------------------------------------------------------------------------------


async def test_init_and_segments_are_the_rendition() -> None:
    """Joined they are audio.mp4 of the same stream; for ever, with a length, a tag, and ranges."""
    async with hls_place(*SONG) as there:
        stream = await there.listened()
        names = ["init.mp4", *segments_in((await there.get(stream))[2])]
        assert names[1:] == ["0.m4s", "1.m4s", "2.m4s", "3.m4s"]
        answers = [await there.get(stream, name) for name in names]
        channel = next(one for one in stream.renditions if one.format.name == "mp4")
        assert channel.init is not None
        assert b"".join([body for _, _, body in answers]) == b"".join(
            [chunk.payload for chunk in (channel.init, *channel.retained)]
        )
        for name, (status, headers, body) in zip(names, answers, strict=True):
            assert (status, headers["Content-Type"], headers["Accept-Ranges"]) == (200, "audio/mp4", "bytes")
            assert headers["Cache-Control"] == "private, max-age=31536000, immutable"
            assert int(headers["Content-Length"]) == len(body)
            tag = headers["ETag"]
            assert (await there.get(stream, name, headers={"If-None-Match": tag}))[0] == 304
            status, headers, none = await there.get(stream, name, method="HEAD")
            assert (status, int(headers["Content-Length"]), headers["ETag"], none) == (200, len(body), tag, b"")
            status, headers, part = await there.get(stream, name, headers={"Range": "bytes=10-19"})
            assert (status, part) == (206, body[10:20])
            assert headers["Content-Range"] == f"bytes 10-19/{len(body)}"
            assert (await there.get(stream, name, headers={"Range": "bytes=9999999-"}))[0] == 416
        tags = {headers["ETag"] for _, headers, _ in answers}
        assert len(tags) == 5


async def test_the_next_segment_is_waited_for() -> None:
    """By who asks a little too early, and no longer than a moment; one that is far away is not there."""
    more = asyncio.Event()
    song = mp3_song(4.2)
    first, rest = song[: 13 * SEGMENT // 4], song[13 * SEGMENT // 4 :]
    async with hls_place(Accepted("r"), AudioDelta(first), more, AudioDelta(rest), Finished(1.0)) as there:
        stream = await there.stream()
        await there.get(stream)
        asking = asyncio.create_task(there.get(stream, "3.m4s"))
        await soon(lambda: any(one._waiting for one in there.door._playlists))
        assert code(await there.get(stream, "99.m4s")) == (404, "not_found")
        more.set()
        status, _, body = await within(asking)
        assert (status, len(body) > 1000) == (200, True)
        await stream.ended()
        for name in ("5.m4s", "01.m4s", "-1.m4s", "x.m4s", "1234567890.m4s", "1e1.m4s", "%00.m4s"):
            assert code(await there.get(stream, name)) == (404, "not_found"), name


async def test_a_wait_for_a_segment_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """What never comes is not there, in bounded time; so is an init."""
    monkeypatch.setattr(module, "NEXT_SECONDS", 0.05)
    monkeypatch.setattr(module, "HOLD_SECONDS", 0.05)
    async with hls_place(Accepted("r"), asyncio.Event(), Finished(1.0)) as there:
        stream = await there.stream()
        assert code(await there.get(stream, "0.m4s")) == (404, "not_found")
        assert code(await there.get(stream, "init.mp4")) == (404, "not_found")


async def test_options_choose_the_format_and_go_along() -> None:
    """The same as those of audio.mp4, each a playback of its own; a mistake is named, and costs no use."""
    async with hls_place(*SONG) as there:
        stream = await there.stream()
        options = {"rate": "22050", "channels": "1", "bitrate": "64000"}
        status, _, body = await there.get(stream, params=options)
        assert status == 200
        assert segments_in(body)[0] == "0.m4s?rate=22050&channels=1&bitrate=64000"
        assert b'URI="init.mp4?rate=22050&channels=1&bitrate=64000"' in body
        await there.get(stream)
        assert [len(one.listeners) for one in stream.renditions] == [0, 1, 1]
        ticket = there.ticket(uses=1)
        for bad, refusal in (
            ({"rate": "x"}, (400, "invalid_request")),
            ({"rate": "1"}, (422, "unsupported_format")),
            ({"channels": "3"}, (422, "unsupported_format")),
        ):
            assert code(await there.get(stream, params={**bad, "ticket": ticket})) == refusal
        assert (await there.get(stream, params={"ticket": ticket}))[0] == 200
