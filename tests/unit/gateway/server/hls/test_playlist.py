"""Playlists as text, at every moment of a song's life.

Invariant under test: what was listed once is never changed while it is kept, and the type that is given is true.
It must not know the door, nor who asks it.
"""

import gzip

import pytest

from gateway.errors import UpstreamError
from gateway.model import Flag
from gateway.relay.channel import Channel
from gateway.relay.outcome import Bill
from gateway.relay.segments import FRAME, Segments
from gateway.server.hls.playlist import OPENING, Playlist
from tests.support.relay import new_channel
from transcode.formats import MP4, StreamFormat

CHUNK = 5 * FRAME


def song(rate: int = 48000, *, max_bytes: int = 1 << 20) -> Channel:
    """A channel of AAC that is open and empty."""
    channel = new_channel(form=MP4, max_bytes=max_bytes)
    channel.open(StreamFormat(MP4, rate, 2, 128_000), b"", 1000.0)
    return channel


def sing(channel: Channel, chunks: int, flags: Flag = Flag.RANDOM_ACCESS) -> None:
    for _ in range(chunks):
        channel.append(b"%06d" % channel.end, CHUNK - FRAME * (channel.end == 0), flags, 1000.0)


def text(playlist: Playlist, channel: Channel, query: str = "") -> str:
    return playlist.body(Segments.of(channel), query, zipped=False).decode()


def test_it_grows_and_ends() -> None:
    """Each line of before is still there; the type and the end say what is to be expected."""
    channel, playlist = song(), Playlist()
    sing(channel, 27)
    growing = text(playlist, channel, "?a=b")
    assert (
        growing
        == """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:0
#EXT-X-PLAYLIST-TYPE:EVENT
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-START:TIME-OFFSET=0,PRECISE=YES
#EXT-X-MAP:URI="init.mp4?a=b"
#EXTINF:0.938667,
0.m4s?a=b
#EXTINF:0.960000,
1.m4s?a=b
#EXTINF:0.960000,
2.m4s?a=b
"""
    )
    assert growing.encode().startswith(OPENING)
    sing(channel, 10)
    assert text(playlist, channel, "?a=b") == growing + "#EXTINF:0.960000,\n3.m4s?a=b\n"
    channel.close(None, Bill(1.0, settled=True))
    whole = text(playlist, channel, "?a=b")
    expected = (
        growing.replace("TYPE:EVENT", "TYPE:VOD") + "#EXTINF:0.960000,\n3.m4s?a=b\n#EXTINF:0.106667,\n4.m4s?a=b\n"
    )
    assert whole == expected + "#EXT-X-ENDLIST\n"


@pytest.mark.parametrize(
    ("rate", "frames", "first", "others"),
    [(44100, 5, "1.021678", "1.044898"), (24000, 3, "0.981333", "1.024000"), (8000, 1, "0.896000", "1.024000")],
)
def test_every_rate_has_its_own_seconds(rate: int, frames: int, first: str, others: str) -> None:
    """To the microsecond; the target is a second at each, so it never changes."""
    channel = song(rate)
    for number in range(40):
        channel.append(b"chunk", FRAME * (frames - (number == 0)), Flag.RANDOM_ACCESS, 1000.0)
    lines = text(Playlist(), channel).splitlines()
    assert "#EXT-X-TARGETDURATION:1" in lines
    listed = [line for line in lines if line.startswith("#EXTINF")]
    assert listed[0] == f"#EXTINF:{first},"
    assert {*listed[1:]} == {f"#EXTINF:{others},"}


def test_before_the_first_sound_it_lists_nothing() -> None:
    """There is no init yet, either; and it says that more is to come."""
    channel, playlist = new_channel(form=MP4), Playlist()
    lines = text(playlist, channel).splitlines()
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in lines
    assert not any(word in line for line in lines for word in ("MAP", "EXTINF", "ENDLIST", ".m4s"))


def test_lost_sound_is_a_discontinuity() -> None:
    """Before the segment behind the hole, and nowhere else."""
    channel = song()
    sing(channel, 12)
    sing(channel, 1, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    sing(channel, 8)
    channel.close(UpstreamError("upstream_interrupted", "It broke off."), Bill(1.0, settled=True))
    assert (
        text(Playlist(), channel).partition("PRECISE=YES\n")[2]
        == """#EXT-X-MAP:URI="init.mp4"
#EXTINF:0.938667,
0.m4s
#EXTINF:0.320000,
1.m4s
#EXT-X-DISCONTINUITY
#EXTINF:0.960000,
2.m4s
#EXT-X-ENDLIST
"""
    )


def test_a_window_that_moves_says_so() -> None:
    """No EVENT and no start, for a player would run after segments that go; the numbers and the tears go on."""
    channel, playlist = song(max_bytes=6 * 25), Playlist()
    sing(channel, 12)
    sing(channel, 1, Flag.RANDOM_ACCESS | Flag.DISCONTINUITY)
    sing(channel, 12)
    assert "EVENT" in text(playlist, channel)
    sing(channel, 8)
    moved = text(playlist, channel)
    assert (
        moved
        == """#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:1
#EXT-X-MEDIA-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="init.mp4"
#EXTINF:0.320000,
1.m4s
#EXT-X-DISCONTINUITY
#EXTINF:0.960000,
2.m4s
#EXTINF:0.960000,
3.m4s
"""
    )
    sing(channel, 10)
    moved = text(playlist, channel)
    assert "#EXT-X-MEDIA-SEQUENCE:3\n#EXT-X-DISCONTINUITY-SEQUENCE:1\n" in moved
    assert "#EXT-X-DISCONTINUITY\n" not in moved
    channel.close(None, Bill(1.0, settled=True))
    assert "PLAYLIST-TYPE:VOD" in text(playlist, channel)
    assert "TIME-OFFSET=0" in text(playlist, channel)


def test_it_is_built_once_for_the_same_query() -> None:
    """The very same bytes, until there is news; of many queries only the newest are kept."""
    channel, playlist = song(), Playlist()
    sing(channel, 27)
    segments = Segments.of(channel)
    first = playlist.body(segments, "?ticket=a", zipped=True)
    assert playlist.body(segments, "?ticket=a", zipped=True) is first
    assert gzip.decompress(first) == playlist.body(segments, "?ticket=a", zipped=False)
    for number in range(40):
        assert playlist.body(segments, f"?ticket={number}", zipped=False).count(b"?ticket=") == 4
    assert len(playlist._bodies) == 32
    assert playlist.body(segments, "?ticket=a", zipped=True) is not first
    sing(channel, 9)
    assert gzip.decompress(playlist.body(segments, "?ticket=a", zipped=True)).count(b"?ticket=a") == 5


def test_a_ticket_behind_every_uri_is_little_as_gzip() -> None:
    """200 segments with a ticket of 300 letters: a song's playlist is asked for every second."""
    channel = song()
    sing(channel, 9 * 200)
    segments = Segments.of(channel)
    query = "?ticket=wt_" + "".join(chr(97 + number * number % 26) for number in range(300))
    assert len(Playlist().body(segments, query, zipped=False)) > 60_000
    assert len(Playlist().body(segments, query, zipped=True)) < 3_000
