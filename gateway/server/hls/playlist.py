"""The media playlist of a song: what segments there are, and whether more follow.

Invariant: while it grows nothing that was listed changes; what is retained no more is not listed, and then it does not
say that it is complete from the start. Built once for all players that carry the same query along.
It must not know who asks. Sources: RFC 8216; what players make of it was tried.
"""

import gzip
from collections.abc import Iterator

from gateway.relay.segments import Segments, usual_samples

CONTENT_TYPE = "application/vnd.apple.mpegurl"
# What every playlist begins with, and all that a probe is told.
OPENING = b"#EXTM3U\n"
# Where the query goes behind a URI. It is in no playlist and no query.
_QUERY = "\0"
# Versions of one moment that are kept: of players with the same query and coding all but the first find theirs.
_BODIES_KEPT = 32
# A ticket of 300 letters stands behind every URI: at this level 60 KB of such lines are 2 KB, in 0.2 ms.
_LEVEL = 1


class Playlist:
    """Of one song in one format. `body` is what it is at this moment."""

    def __init__(self) -> None:
        self._state: tuple[int, int, bool, bool] | None = None
        self._template = ""
        self._bodies: dict[tuple[str, bool], bytes] = {}

    def body(self, segments: Segments, query: str, *, zipped: bool) -> bytes:
        """The playlist with `query` (`?ticket=...`, or nothing) behind each of its URIs, as UTF-8, perhaps as gzip."""
        state = (segments.made, len(segments.kept), segments.over, segments.whole)
        if state != self._state:
            self._state = state
            self._template = "\n".join(_lines(segments)) + "\n"
            self._bodies.clear()
        body = self._bodies.get((query, zipped))
        if body is None:
            body = self._template.replace(_QUERY, query).encode()
            if zipped:
                body = gzip.compress(body, _LEVEL, mtime=0)
            while len(self._bodies) >= _BODIES_KEPT:
                del self._bodies[next(iter(self._bodies))]
            self._bodies[query, zipped] = body
        return body


def _lines(segments: Segments) -> Iterator[str]:
    details = segments.channel.details
    rate = details.sample_rate if details is not None else 48000
    # Nothing is longer than a second and a half, so this never changes. It is rounded to nearest, as players do:
    # one more would double the time after which hls.js looks again.
    yield "#EXTM3U"
    yield "#EXT-X-VERSION:7"
    yield f"#EXT-X-TARGETDURATION:{max(1, round(usual_samples(rate) / rate))}"
    yield f"#EXT-X-MEDIA-SEQUENCE:{segments.lost}"
    if segments.lost_tears:
        yield f"#EXT-X-DISCONTINUITY-SEQUENCE:{segments.lost_tears}"
    if segments.over:
        yield "#EXT-X-PLAYLIST-TYPE:VOD"
    elif segments.whole:
        yield "#EXT-X-PLAYLIST-TYPE:EVENT"
    yield "#EXT-X-INDEPENDENT-SEGMENTS"
    if segments.over or segments.whole:
        # Else players join at the live edge, and the song's beginning is not heard. Where the oldest segments go while
        # more come, whoever began with them would run after them.
        yield "#EXT-X-START:TIME-OFFSET=0,PRECISE=YES"
    if details is not None:
        yield f'#EXT-X-MAP:URI="init.mp4{_QUERY}"'
    for segment in segments.kept:
        if segment.torn:
            yield "#EXT-X-DISCONTINUITY"
        yield f"#EXTINF:{segment.duration / rate:.6f},"
        yield f"{segment.number}.m4s{_QUERY}"
    if segments.over:
        yield "#EXT-X-ENDLIST"
