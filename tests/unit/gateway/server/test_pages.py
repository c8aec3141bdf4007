"""The player page and its files, over HTTP.

Invariant under test: only the files of the page are served, each under its own name, and pages are strict about what
they load. It must not know what is written in them.
"""

import gzip
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.config.schema import Tenant
from gateway.server.auth import Tenants
from gateway.server.pages import Page, Pages, read_pages
from tests.support.server import exchange, served

# Read here, where no loop waits.
FILES = read_pages()
PAGES = Pages(FILES, None)
DEMO = Pages(FILES, "demo")
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "ts": "application/typescript"}


@asynccontextmanager
async def visitor(pages: Pages = PAGES) -> AsyncIterator[aiohttp.ClientSession]:
    async with (
        served(*pages.routes()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
    ):
        yield http


async def test_every_file_is_served_as_what_it_is() -> None:
    """Type, bytes, revalidation and the headers that keep a browser from guessing, for each file of the page."""
    assert {"index.html", "wavegate.js", "style.css"} <= FILES.keys()
    async with visitor() as http:
        for name, page in FILES.items():
            async with http.get(f"/{name}") as response:
                assert response.status == 200, name
                assert response.content_type == TYPES[name.rpartition(".")[2]]
                assert response.charset == "utf-8"
                assert response.headers["Cache-Control"] == "no-cache"
                assert response.headers["X-Content-Type-Options"] == "nosniff"
                assert await response.read() == page.body


@pytest.mark.parametrize(
    ("accepted", "zipped"),
    [("gzip, deflate, br", True), ("gzip", True), ("identity", False), ("br", False), ("gzip;q=0", False), ("", False)],
)
async def test_a_file_is_zipped_for_whoever_takes_it_so(accepted: str, zipped: bool) -> None:
    """The same bytes under the same tag, smaller for a browser that says that it can; caches keep the two apart."""
    page = FILES["style.css"]
    async with served(*PAGES.routes()) as port:
        request = f"GET /style.css HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept-Encoding: {accepted}\r\n\r\n"
        head, body = await exchange(port, request.encode())
    assert b"Vary: Accept-Encoding" in head
    assert (b"Content-Encoding: gzip" in head) is zipped
    assert (gzip.decompress(body) if zipped else body) == page.body
    assert not zipped or len(body) < len(page.body)


async def test_pages_are_strict_and_scripts_are_open() -> None:
    """A page loads nothing from elsewhere and stands in no frame; scripts may be loaded by any page."""
    async with visitor() as http:
        async with http.get("/") as response:
            policy = response.headers["Content-Security-Policy"]
            assert "Access-Control-Allow-Origin" not in response.headers
            assert response.headers["Referrer-Policy"] == "no-referrer"
        assert "default-src 'self'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        async with http.get("/wavegate.js") as response:
            assert "Content-Security-Policy" not in response.headers
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"


async def test_the_root_is_the_page() -> None:
    """`/` and `/index.html` are the same bytes under the same tag."""
    async with visitor() as http, http.get("/") as root, http.get("/index.html") as named:
        assert await root.read() == await named.read()
        assert root.headers["ETag"] == named.headers["ETag"]


async def test_what_a_browser_has_is_not_sent_again() -> None:
    """The same tag answers 304 without a body and with the policy; another tag gets the file."""
    async with visitor() as http:
        async with http.get("/") as response:
            tag = response.headers["ETag"]
        assert re.fullmatch(r'"[0-9a-f]{20}"', tag)
        async with http.get("/", headers={"If-None-Match": tag}) as response:
            assert (response.status, await response.read()) == (304, b"")
            assert response.headers["ETag"] == tag
            assert "Content-Security-Policy" in response.headers
        async with http.get("/", headers={"If-None-Match": '"0"'}) as response:
            assert response.status == 200


async def test_a_head_has_the_length_and_no_body() -> None:
    """HEAD answers as GET does, without the bytes."""
    async with visitor() as http, http.head("/style.css", headers={"Accept-Encoding": "identity"}) as response:
        assert (response.status, int(response.headers["Content-Length"])) == (200, len(FILES["style.css"].body))
        assert await response.read() == b""


@pytest.mark.parametrize(
    "path",
    [
        "/app.py", "/../app.py", "/%2e%2e/app.py", "/..%2fapp.py", "/%2e%2e%2fapp.py", "/..%5capp.py", "/./../app.py",
        "//app.py", "/web/index.html", "/index.html/", "/INDEX.HTML", "/index.html%00.js", "/%2fetc%2fpasswd",
        "/__init__.py", "/py.typed", "/%ff", "/../", "/%2e%2e/", "/%2e%2e/%2e%2e/index.html",
    ],
)  # fmt: skip
async def test_no_path_leads_out_of_the_page(path: str) -> None:
    """Dots, encoded or not, separators, zeros and case lead to the refusal of the contract, never to a file."""
    async with served(*PAGES.routes()) as port:
        request = f"GET {path} HTTP/1.1\r\nHost: gateway.test\r\nConnection: close\r\n\r\n"
        head, body = await exchange(port, request.encode())
    assert head.startswith((b"HTTP/1.1 404", b"HTTP/1.1 400"))
    assert b"import" not in body
    assert b"root:" not in body


async def test_only_a_demo_gives_its_key_away() -> None:
    """The demo's page finds its key; the page of any other gateway learns that there is none."""
    for pages, key in ((DEMO, "demo"), (PAGES, None)):
        async with visitor(pages) as http, http.get("/demo.json") as response:
            assert (response.status, await response.json()) == (200, {"key": key})


async def test_other_methods_are_refused_by_name() -> None:
    """A page is read, not written: 405 names what the address answers."""
    async with visitor() as http, http.post("/index.html", data="x") as response:
        assert response.status == 405
        assert response.headers["Allow"] == "GET, HEAD"


@pytest.mark.parametrize(("address", "file"), [("/overlay", "overlay.html"), ("/embed", "embed.html")])
async def test_the_other_pages_have_an_address_of_their_own(address: str, file: str) -> None:
    """The overlay and the embedded player answer without .html, as what they are."""
    async with visitor() as http, http.get(address) as response:
        assert (response.status, response.content_type) == (200, "text/html")
        assert await response.read() == FILES[file].body


ACME = Tenant(id="acme", keys=[], allowed_origins=["https://play.acme.example", "https://acme.example:8443"])
OTHER = Tenant(id="other", keys=[], allowed_origins=["http://other.example"])
ODD = Tenant(id="odd", keys=[], allowed_origins=["https://odd.example;script-src", "null"])


@pytest.mark.parametrize(
    ("query", "ancestors"),
    [
        ("?tenant=acme", "'self' https://acme.example:8443 https://play.acme.example"),
        ("?tenant=other", "'self' http://other.example"),
        ("?tenant=nobody", "'self'"),
        ("?tenant=", "'self'"),
        ("?tenant=odd", "'self'"),
        ("", "'self' http://other.example https://acme.example:8443 https://play.acme.example"),
    ],
)
async def test_the_player_stands_in_the_frames_of_its_tenants(query: str, ancestors: str) -> None:
    """The tenant of the query decides, without one all tenants do; what is no origin never becomes a directive."""
    async with visitor(Pages(FILES, None, Tenants([ACME, OTHER, ODD]))) as http:
        async with http.get(f"/embed{query}") as response:
            assert response.headers["Content-Security-Policy"].endswith(f"; frame-ancestors {ancestors}")
            assert "script-src" not in response.headers["Content-Security-Policy"]
        for page in ("/", "/overlay", "/docs.html"):
            async with http.get(page + query) as response:
                assert response.headers["Content-Security-Policy"].endswith("; frame-ancestors 'none'")


async def test_who_may_frame_is_known_anew_at_every_request() -> None:
    """After a reload of the tenants the policy is theirs, also for a page that the browser has already."""
    tenants = Tenants([ACME])
    async with visitor(Pages(FILES, None, tenants)) as http:
        tag = FILES["embed.html"].tag
        tenants.replace([OTHER])
        async with http.get("/embed", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
            assert response.headers["Content-Security-Policy"].endswith("frame-ancestors 'self' http://other.example")


async def test_the_demo_may_be_framed_by_this_machine() -> None:
    """A page on loopback may try the embedded player out; without tenants nobody else's page may."""
    async with visitor(Pages(FILES, "demo", Tenants([], demo=True))) as http, http.get("/embed") as response:
        policy = response.headers["Content-Security-Policy"]
        assert policy.endswith("frame-ancestors 'self' http://127.0.0.1:* http://localhost:*")
    async with visitor() as http, http.get("/embed") as response:
        assert response.headers["Content-Security-Policy"].endswith("frame-ancestors 'self'")


def test_no_page_has_anything_inline() -> None:
    """Nothing that the policy would refuse stands in a page: no script without a source, no style, no handler."""
    for name, page in FILES.items():
        if page.media_type == "text/html":
            text = page.body.decode()
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\son\w+=|\sstyle=|javascript:|https?://", text), name


LINK = re.compile(r"""(?:from|import|import\() ?['"]\./([\w.-]+)['"]|(?:src|href)="([\w.-]+)\"""")


def reached(*names: str) -> list[Page]:
    """These files, and all that they load by name."""
    found: dict[str, Page] = {}
    left = list(names)
    while left:
        name = left.pop()
        if name not in found and name in FILES:
            found[name] = FILES[name]
            left += [one or other for one, other in LINK.findall(FILES[name].body.decode())]
    return list(found.values())


def test_the_page_stays_light() -> None:
    """The page in one language, the client and the element: what a first visit loads, and how much of it is the client.

    Bytes on the wire, for every file is served zipped; nothing is bundled or minified.
    """
    client = reached("wavegate.js", "worklet.js")
    whole = reached("index.html", "words-zh.js", "wavegate-player.js", "worklet.js", "clips.js", "cut.js")
    assert {FILES["stage.js"], FILES["words-zh.js"], *client} <= set(whole)
    assert sum(len(page.zipped) for page in client) < 34_000
    assert sum(len(page.zipped) for page in whole) < 80_000
