"""What attackers send to a gateway's public port, as octets: smuggled requests, paths that lead elsewhere, headers and
titles with lines of their own.

Invariant under test: one request has one answer, of the documented kind; who is refused at the level of octets, or
asked for another protocol and got none, has an end as well; nothing of the inside comes out, and nobody's words become
a header, a line or a cell. It must not know how any of this is prevented.
"""

import asyncio
import csv
import io
import json
import re
from contextlib import suppress
from itertools import product
from urllib.parse import quote, urlsplit

from tests.support.gateway import KEY, Bench, bench, hear, say, talk
from tests.support.icy import parsed
from tests.support.server import dechunked, dial

WHO = f"Authorization: Bearer {KEY}\r\n"
HEAD = f"Host: x\r\n{WHO}"
# The request that is hidden behind or within another: whoever lets it through answers twice.
HIDDEN = f"GET /v1/usage HTTP/1.1\r\n{HEAD}\r\n"
UPGRADE = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
V13 = "Sec-WebSocket-Version: 13\r\n"
POST = f"POST /v1/tickets HTTP/1.1\r\n{HEAD}Content-Type: application/json\r\n"
CHUNKED = f"{POST}Transfer-Encoding: chunked\r\n\r\n"
NEVER = (b"root:", b"[project]", b"wavegate_streams", b"import asyncio", b"Traceback", b'File "')
EVIL = "X-Evil: 1"

# How long they are can be read in two ways: each is refused with 400 `invalid_request` and an end.
FRAMING = {
    "both lengths": f"{POST}Content-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\nG",
    "both, the other way": f"{POST}Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n2\r\n{{}}\r\n0\r\n\r\n",
    "two lengths": f"{POST}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{{}}",
    "the same length twice": f"{POST}Content-Length: 2\r\nContent-Length: 2\r\n\r\n{{}}",
    "a list of lengths": f"{POST}Content-Length: 2, 2\r\n\r\n{{}}",
    **{
        f"length {text!r}": f"{POST}Content-Length: {text}\r\n\r\n{{}}" for text in ("+2", "-2", "0x2", "2 2", "9" * 23)
    },
    **{
        f"coding {text!r}": f"{POST}Transfer-Encoding: {text}\r\n\r\n0\r\n\r\n"
        for text in (
            "xchunked",
            "chunked, identity",
            "\x0bchunked",
            '"chunked"',
            "chunked\r\nTransfer-Encoding: chunked",
        )
    },
    "a space before the colon": f"{POST}Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "chunks in HTTP/1.0": CHUNKED.replace("1.1", "1.0") + "2\r\n{}\r\n0\r\n\r\n",
    **{
        f"chunk of {text!r}": f"{CHUNKED}{text}\r\n{{}}\r\n0\r\n\r\n"
        for text in ("+2", "0x2", "0_2", "-2", "f" * 17, "2\n", "2;a\nb")
    },
    "a chunk without its end": f"{CHUNKED}2\r\n{{}}0\r\n\r\n",
    "lines without CR": f"GET /v1/usage HTTP/1.1\nHost: x\n{WHO}\n",
    "CR alone": f"GET /v1/usage HTTP/1.1\r\nHost: x\r{WHO}\r\n\r\n",
    "a folded header": f"GET /v1/usage HTTP/1.1\r\nX: a\r\n b\r\n{HEAD}\r\n",
    "NUL in a header": f"GET /v1/usage HTTP/1.1\r\nX: a\0b\r\n{HEAD}\r\n",
    "no host": f"GET /v1/usage HTTP/1.1\r\n{WHO}\r\n",
    "two hosts": f"GET /v1/usage HTTP/1.1\r\nHost: y\r\n{HEAD}\r\n",
    "tabs in the line": f"GET\t/v1/usage\tHTTP/1.1\r\n{HEAD}\r\n",
    "no such version": f"GET / HTTP/9.9\r\n{HEAD}\r\n",
    "the preface of HTTP/2": "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a header of 70 KB": f"GET / HTTP/1.1\r\n{HEAD}X: {'a' * 70_000}\r\n\r\n",
    "5,000 headers": f"GET / HTTP/1.1\r\n{HEAD}{''.join(f'X-{at}: a' + chr(13) + chr(10) for at in range(5000))}\r\n",
    "a path of 9 KB": f"GET /v1/streams/{'a' * 9000} HTTP/1.1\r\n{HEAD}\r\n",
}

# Each has its one answer, says that it is the last, and ends: what follows is no request.
SWITCHING = {
    "another version": (f"GET /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}Sec-WebSocket-Version: 12\r\n\r\n", 400),
    "no version": (f"GET /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}\r\n", 400),
    "a bad key": (f"GET /v1/ws HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer no\r\n{UPGRADE}{V13}\r\n", 401),
    "another method": (f"POST /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}Content-Length: 0\r\n\r\n", 405),
    "another door": (f"GET /v1/usage HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}\r\n", 200),
    "a page": (f"GET / HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}\r\n", 200),
    "with a body": (f"GET /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}Content-Length: {len(HIDDEN)}\r\n\r\n", 400),
    "with chunks": (f"GET /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "HTTP/2": (f"GET /v1/usage HTTP/1.1\r\n{HEAD}Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\n\r\n", 200),
    "a tunnel": (f"CONNECT 127.0.0.1:9464 HTTP/1.1\r\n{HEAD}\r\n", 404),
}

# Nothing is found at any of these, and nothing but the error body is said.
PATHS = (
    *("/metrics", "/healthz", "/readyz", "/debug/streams", "/v1/../metrics", "/v1/streams/..%2f..%2fmetrics"),
    *("/../../etc/passwd", "/%2e%2e/%2e%2e/etc/passwd", "/..%2f..%2fpyproject.toml", "/%5c..%5c..%5cpyproject.toml"),
    *(
        "/wavegate.js/../../../app.py",
        "/wavegate.js/",
        "/wavegate.js%00.css",
        "//evil.example/",
        "//evil.example/%2f..",
    ),
    *("/\\evil.example", "/v1//streams", "/V1/streams", "/v1/streams/", "/v1/streams;a=b", "/%", "/%zz"),
    *("/v1/streams/%00", "/v1/streams/%ff%fe", "/v1/streams/st_1/hls/..%2f..%2f..", "/v1/streams/st_1/audio.%2e%2e"),
    *(f"/v1/streams/st_1%0d%0a{quote(EVIL)}", f"/v1/streams/st_1/audio.mp3%0d%0a{quote(EVIL)}"),
    *(f"/v1/streams?limit=%0d%0a{quote(EVIL)}", f"/v1/usage?from=%0d%0a{quote(EVIL)}"),
)
HOSTILE = (
    "[[scale seconds=4 speed=4]] =HYPERLINK('http://x')\r\nSet-Cookie: a=b\r\n\r\n'; StreamUrl='http://x';"
    "\n#EXT-X-ENDLIST\n<script>alert(1)</script>\x1b[2J\x85\u2028 of rain"
)

TOO_LARGE = {
    "a header of 70 KB": (b"431", b'"headers_too_large"'),
    "5,000 headers": (b"431", b'"headers_too_large"'),
    "a path of 9 KB": (b"414", b'"address_too_long"'),
}


def heads(answers: bytes) -> list[bytes]:
    """The status lines."""
    return re.findall(rb"HTTP/1\.[01] (\d{3})[^\r\n]*\r\n", answers)


async def until_the_end(bench: Bench, octets: bytes, seconds: float = 10.0) -> bytes:
    """Everything that is said before the connection ends, which has to be by itself."""
    said = b""
    # It has said what it had to say to somebody who goes on talking.
    with suppress(ConnectionResetError):
        async with dial(urlsplit(bench.url).port or 0, seconds) as (reader, writer):
            writer.write(octets)
            while piece := await reader.read(65536):
                said += piece
    return said


async def test_requests_that_can_be_read_in_two_ways() -> None:
    """One answer, 400 or what was too large, and the end: the request that is hidden in each is never heard."""
    wrong = []
    async with bench() as gateway:
        for name, octets in FRAMING.items():
            said = await until_the_end(gateway, (octets + HIDDEN).encode("latin-1"))
            status, code = TOO_LARGE.get(name, (b"400", b'"invalid_request"'))
            if heads(said) != [status] or code not in said or any(word in said for word in NEVER):
                wrong.append(f"{name}: {said[:300]!r}")
    assert not wrong, "\n".join(wrong)


async def test_whoever_asks_for_another_protocol_and_gets_none_is_done() -> None:
    """A proxy that does not look at the answer would pass on what follows: at once, or once the answer is there."""
    wrong = []
    async with bench() as gateway:
        for name, (octets, status) in SWITCHING.items():
            at_once = await until_the_end(gateway, (octets + HIDDEN).encode())
            later = b""
            # Who goes on talking to a socket that is closed hears no more of it.
            with suppress(ConnectionError):
                async with dial(urlsplit(gateway.url).port or 0, 10.0) as (reader, writer):
                    writer.write(octets.encode())
                    later = await reader.readuntil(b"\r\n\r\n")
                    writer.write(HIDDEN.encode())
                    later += await reader.read()
            wrong += [
                f"{name}: {said[:300]!r}"
                for said in (at_once, later)
                if heads(said) != [str(status).encode()] or b"Connection: close" not in said
            ]
    assert not wrong, "\n".join(wrong)


async def test_a_request_behind_a_handshake_is_no_request() -> None:
    """On a WebSocket it is a frame without a mask, and that is the end of it."""
    async with bench() as gateway:
        said = await until_the_end(gateway, f"GET /v1/ws HTTP/1.1\r\n{HEAD}{UPGRADE}{V13}\r\n{HIDDEN}".encode())
        assert heads(said) == [b"101"]
        assert b"generations" not in said


async def test_paths_lead_nowhere_else() -> None:
    """Neither to files, nor to the internal port's doors, nor to other hosts; and no path or query becomes a header."""
    wrong = []
    async with bench() as gateway:
        for path in PATHS:
            said = await until_the_end(gateway, f"GET {path} HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
            head, _, body = said.partition(b"\r\n\r\n")
            if not heads(said) or heads(said)[0] not in (b"400", b"404") or "error" not in json.loads(body):
                wrong.append(f"{path}: {said[:300]!r}")
            if EVIL.encode() in head or b"\nLocation" in head or any(word in said for word in NEVER):
                wrong.append(f"{path}: {said[:300]!r}")
        for method in ("TRACE", "CONNECT", "PROPFIND", "get"):
            said = await until_the_end(gateway, f"{method} / HTTP/1.1\r\n{HEAD}Connection: close\r\n\r\n".encode())
            if not heads(said) or heads(said)[0] not in (b"400", b"404", b"405") or KEY.encode() in said:
                wrong.append(f"{method}: {said[:300]!r}")
    assert not wrong, "\n".join(wrong)


async def test_words_of_a_song_stay_words() -> None:
    """A prompt that would be a header, an end of a title, a line of a playlist, a formula and a script: in each place
    where it is told it is one line of text, and what shows it as it is is no page."""
    async with bench() as gateway:
        stream = await gateway.create(HOSTILE)
        url = urlsplit(stream["urls"]["audio"]).path
        request = f"GET {url} HTTP/1.1\r\n{HEAD}Icy-MetaData: 1\r\nConnection: close\r\n\r\n"
        radio, playlist = await asyncio.gather(
            until_the_end(gateway, request.encode(), 30.0),
            _text(gateway, f"{gateway.url}/v1/streams/{stream['id']}/hls/index.m3u8?ticket=%22%0a%23EXT-X-ENDLIST"),
        )
        head, _, body = radio.partition(b"\r\n\r\n")
        assert not re.search(rb"(?i)^(set-cookie|streamurl)", head, re.MULTILINE)
        assert not re.search(rb"[\x00-\x09\x0b\x0c\x0e-\x1f]", head)
        distance = int(re.search(rb"icy-metaint: (\d+)", head)[1])  # type: ignore[index]  # a radio's head has it
        titles = [title for _, title in parsed(dechunked(body)[0], distance).titles]
        assert titles
        assert not any(re.search(r"[';\x00-\x1f\x7f-\x9f\u2028]", title) for title in titles)
        assert all(
            line.startswith("#EXT") or re.fullmatch(r"[\w.]+(\?[\w=%&.-]*)?", line) for line in playlist.splitlines()
        )
        assert playlist.count("#EXT-X-ENDLIST") <= 1
        table = await _text(gateway, f"{gateway.url}/v1/usage", Accept="text/csv")
        rows = list(csv.reader(io.StringIO(table, newline="")))
        assert {len(row) for row in rows} == {len(rows[0])}
        async with gateway.http.get(f"{gateway.url}/v1/streams/{stream['id']}") as response:
            assert response.content_type == "application/json"
            assert (await response.json())["title"] is not None
        async with talk(gateway) as socket:
            await say(socket, type="stream.attach", stream_id=stream["id"], format="mp3")
            heard = await hear(socket)
            assert heard.named("stream.completed")


async def _text(gateway: Bench, url: str, **headers: str) -> str:
    async with gateway.http.get(url, headers=headers) as response:
        return await response.text()


async def test_no_header_of_a_client_comes_back_as_a_line_of_its_own() -> None:
    """Whatever stands in it, octets that are no text included; and no answer is a fault of ours."""
    names = ("Origin", "Idempotency-Key", "Accept", "Host", "X-Forwarded-Host", "Cookie")
    values = (
        "a\tb",
        "x\x80\xff",
        "<script>alert(1)</script>",
        "a\x85Set-Cookie: b",
        "null",
        "[::",
        "u:p@x",
        '";a="',
        "x" * 4000,
    )
    async with bench() as gateway:
        for name, value in product(names, values):
            host = "" if name == "Host" else "Host: x\r\n"
            lines = f"{host}{WHO}{name}: {value}\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{{}}"
            said = await until_the_end(gateway, f"POST /v1/streams HTTP/1.1\r\n{lines}".encode("latin-1"))
            head = said.partition(b"\r\n\r\n")[0]
            assert int(heads(said)[0]) < 500, (name, value, said)
            assert b"Set-Cookie" not in head
            assert b"<script>" not in head
