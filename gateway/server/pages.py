"""The player page, the overlay, the embedded player and their scripts, from memory, under a strict security policy.

Invariant: a page loads nothing from anywhere else and runs no inline script; files are revalidated by ETag. No page
stands in a frame but the embedded player, and that in those of the tenants' own pages. The demo tells its page the
demo key, and only the demo. It must not know what the scripts do.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web

from gateway.errors import RequestError
from gateway.server.auth import LOOPBACK, Tenants
from gateway.server.rest import answer

POLICY = "; ".join(
    (
        "default-src 'self'",
        "media-src 'self' blob:",
        "connect-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors ",
    )
)
NOWHERE = "'none'"
_AT_HOME = "'self'"
_ZIPPED = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "ts": "application/typescript"}
# Pages that have an address of their own beside their file's name.
NAMES = {"": "index.html", "overlay": "overlay.html", "embed": "embed.html"}
# What a policy takes as an origin: whatever else stands in a configuration must not end up as another directive.
_SOURCE = re.compile(r"[a-z][a-z0-9+.-]*://[A-Za-z0-9.:*\[\]-]+")


@dataclass(frozen=True, slots=True)
class Page:
    """A file as it is served: plain and gzipped bytes, media type, entity tag."""

    body: bytes
    zipped: bytes
    media_type: str
    tag: str


def read_pages() -> dict[str, Page]:
    """Every file of gateway/web by its name. Reads the disk: not for the event loop."""
    pages = {}
    for entry in files("gateway").joinpath("web").iterdir():
        media_type = TYPES.get(entry.name.rpartition(".")[2])
        if media_type is not None:
            body = entry.read_bytes()
            tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
            pages[entry.name] = Page(body, gzip.compress(body, mtime=0), media_type, tag)
    return pages


def serve(page: Page, request: web.Request, ancestors: str = NOWHERE) -> web.Response:
    """The file, or that it is what the client has already. Only pages are kept to themselves: the rest is for all.

    `ancestors` is where a page may stand in a frame.
    """
    headers = {
        "Cache-Control": "no-cache",
        "ETag": page.tag,
        "Vary": "Accept-Encoding",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
    }
    if page.media_type == "text/html":
        headers["Content-Security-Policy"] = POLICY + ancestors
    else:
        headers["Access-Control-Allow-Origin"] = "*"
        headers["Cross-Origin-Resource-Policy"] = "cross-origin"
    if request.headers.get("If-None-Match") == page.tag:
        return web.Response(status=304, headers=headers)
    body = page.body
    if _ZIPPED.search(request.headers.get("Accept-Encoding", "")):
        headers["Content-Encoding"] = "gzip"
        body = page.zipped
    return web.Response(body=body, content_type=page.media_type, charset="utf-8", headers=headers)


class Pages:
    """The handlers: each file at its own name, `index.html` at /, the overlay and the embedded player without .html.

    `tenants` says whose pages may frame the embedded player; None is nobody's.
    """

    def __init__(self, pages: Mapping[str, Page], demo_key: str | None, tenants: Tenants | None = None) -> None:
        self._pages = pages
        self._demo_key = demo_key
        self._tenants = tenants

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self.page), web.get("/demo.json", self.demo), web.get("/{file}", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        asked = request.match_info.get("file", "")
        name = NAMES.get(asked, asked)
        page = self._pages.get(name)
        if page is None:
            raise RequestError("not_found", "There is nothing at this address.")
        return serve(page, request, self._ancestors(request) if name == NAMES["embed"] else NOWHERE)

    async def demo(self, request: web.Request) -> web.Response:
        """What a page may know before it has a credential: the demo's key, or null."""
        return answer({"key": self._demo_key})

    def _ancestors(self, request: web.Request) -> str:
        """Whose pages may frame the player: those of `?tenant=`, without it those of all tenants together.

        The ticket would tell the tenant, but it stands in the hash, which no server is sent.
        """
        allowed = [_AT_HOME]
        if self._tenants is not None:
            allowed += _sources(self._tenants.origins(request.query.get("tenant")))
            if self._tenants.demo:
                allowed += [f"http://{host}:*" for host in sorted(LOOPBACK) if ":" not in host]
        return " ".join(allowed)


def _sources(origins: Sequence[str]) -> list[str]:
    return [origin for origin in origins if _SOURCE.fullmatch(origin)]
