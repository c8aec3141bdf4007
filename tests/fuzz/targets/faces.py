"""What strangers' words become where others read them: ICY titles, playlists, tables, headers, lines of a log.

Invariant under test: a title, a lyric or a query can end no header, no block, no line and no cell, and is no formula;
what is read back by the rules of the format is the text that was meant.
"""

import csv
import io
import json
import logging
import re
from types import SimpleNamespace
from typing import Any
from urllib.parse import parse_qs, parse_qsl

from multidict import MultiDict

from gateway.config.secret import Secret
from gateway.log.events import Words
from gateway.log.form import ConsoleForm, JsonForm
from gateway.server import icy, usage
from gateway.server.hls.door import _query
from gateway.server.hls.playlist import Playlist
from tests.fuzz.target import Target
from transcode.formats import MP3, MP4, StreamFormat


def title(data: bytes) -> None:
    """A block of ICY metadata is read back by any player's rule as the same one line; headers stay one line each."""
    text = data.decode("utf-8", "surrogateescape")
    block = icy.block(text)
    assert len(block) == 1 + 16 * block[0]
    words = block[1:].rstrip(b"\0")
    assert words.startswith(b"StreamTitle='")
    assert words.endswith(b"';")
    shown = words.removeprefix(b"StreamTitle='").removesuffix(b"';")
    assert b"'" not in shown
    assert b";" not in shown
    assert icy.plain(text).encode(errors="replace").startswith(shown)
    assert shown.decode().isprintable() or not re.search(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]", shown.decode())
    for value in icy.headers(text, 8192, StreamFormat(MP3, 44100, 2, 128000)).values():
        assert not re.search(r"[\x00-\x1f\x7f]", value)


def table(data: bytes) -> None:
    """A cell of the usage table is the text that was meant, or that text behind a quote that makes it no formula."""
    text = data.decode("utf-8", "replace")
    (row,) = csv.reader(io.StringIO(usage._lines([[text, 1.5, None]]).decode(), newline=""))
    assert row[0] in (text, f"'{text}")
    assert not row[0].startswith(("=", "+", "-", "@", "\t", "\r"))
    assert row[1:] == ["1.5", ""]


_SECRET = Secret("correct horse battery staple")


_ESCAPE = re.compile(r"\\(u[0-9a-f]{4}|x[0-9a-f]{2})")


def logline(data: bytes) -> None:
    """A record is one line in both forms, whatever is said in it: nothing moves a cursor, no secret comes through."""
    text = data.decode("utf-8", "surrogateescape")
    record = logging.LogRecord("wavegate.x", logging.WARNING, "x.py", 1, "%s", (text,), None)
    record.fields = {"id": text, text: [text, {text: text}], "song": Words(text), "octets": data}
    line = JsonForm([_SECRET]).line(record)
    assert line.isascii()
    assert line.isprintable()
    assert set(json.loads(line)) >= {"time", "level", "logger", "event", "id"}
    shown = ConsoleForm([_SECRET]).line(record)
    assert not re.search("[\x00-\x1f\x7f-\x9f\u2028-\u202e]", shown)
    # An escape's last letter and what stands behind it are no word of anybody's.
    assert _SECRET.reveal() not in _ESCAPE.sub("?", line)
    assert _SECRET.reveal() not in _ESCAPE.sub("?", shown)


class _Songs:
    """What a playlist asks of the segments of a song: one is there, and the beginning is lost."""

    class _Channel:
        details = StreamFormat(MP4, 44100, 2, 128000)

    class _Segment:
        torn, duration, number = True, 44100, 3

    channel, kept = _Channel, (_Segment,)
    made, lost, lost_tears, over, whole = 4, 3, 1, True, False


_LINE = re.compile(rb'#EXT[A-Z0-9:="?&%.,a-z_+*~-]*|3\.m4s(\?[A-Za-z0-9=&%._+*~-]*)?')


def playlist(data: bytes) -> None:
    """Whatever the query is, a playlist has its lines and no other, and each of its URIs carries the query's ticket."""
    pairs = parse_qsl(data.decode("utf-8", "replace"), keep_blank_values=True)
    # All of a request and of segments that is asked.
    request: Any = SimpleNamespace(query=MultiDict(pairs), headers={})
    songs: Any = _Songs()
    query = _query(request)
    body = Playlist().body(songs, query, zipped=False)
    plain = Playlist().body(songs, "", zipped=False)
    assert body.count(b"\n") == plain.count(b"\n")
    assert body.replace(query.encode(), b"") == plain if query else body == plain
    for line in body.splitlines():
        assert _LINE.fullmatch(line), line
    if ticket := next((value for name, value in pairs if name == "ticket"), None):
        assert parse_qs(query[1:])["ticket"] == [ticket]


TARGETS = (
    Target(
        "title",
        title.__doc__ or "",
        title,
        ("雨の歌 'quoted'; StreamUrl='http://x'".encode(), b"a\r\nSet-Cookie: x=1", b"\xff" * 40, "é".encode() * 2100),
        (b"'", b"';", b"\r\n", b"StreamUrl='", b"\0", b"\xe2\x80\xa8", b"\xc2\x85", b"\xff", b"x" * 2000),
    ),
    Target(
        "table",
        table.__doc__ or "",
        table,
        (b"=1+1", b'a,"b"', b"-2\r\n", b"st_1"),
        (b"=", b"+", b"@", b"\t", b'"', b",", b"\r\n", b" =", b"\0"),
    ),
    Target(
        "logline",
        logline.__doc__ or "",
        logline,
        (
            b"st_1",
            b"a\r\n2026-11-26 ERROR forged",
            b"\x1b[2J\x1b]0;x\x07",
            _SECRET.reveal().encode(),
            b"\xff\xed\xa0\x80",
        ),
        (
            b"\n",
            b"\x1b[",
            b"\xe2\x80\xae",
            b"\xc2\x85",
            b'"',
            b"\\",
            b"%s",
            _SECRET.reveal().encode(),
            b"event",
            b"\xff",
        ),
    ),
    Target(
        "playlist",
        playlist.__doc__ or "",
        playlist,
        (b"ticket=wt_abc&bitrate=96000&loudness=-14", b"ticket=a%0a%23EXT-X-ENDLIST", b"ticket=%22,URI=%22http://x"),
        (b"ticket=", b"%0a", b"%0d", b"%00", b"#EXT-X-ENDLIST", b'"', b"&", b"bitrate=", b"channels=", b"\xff", b"\n"),
    ),
)
