"""The player page and its scripts, served from memory with a strict content security policy.

Invariant: a page loads nothing from anywhere else and runs no inline script; files are revalidated by ETag. The demo
tells its page the demo key, and only the demo. It must not know what the scripts do.
"""

import gzip
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files

from aiohttp import web

from gateway.errors import RequestError
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
        "frame-ancestors 'none'",
    )
)
_ZIPPED = re.compile(r"\bgzip\b(?!\s*;\s*q=0(?:\.0*)?\s*(?:,|$))")
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css"}


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


class Pages:
    """The handlers: each file at its own name, `index.html` at /."""

    def __init__(self, pages: Mapping[str, Page], demo_key: str | None) -> None:
        self._pages = pages
        self._demo_key = demo_key

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self.page), web.get("/demo.json", self.demo), web.get("/{file}", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        page = self._pages.get(request.match_info.get("file", "index.html"))
        if page is None:
            raise RequestError("not_found", "There is nothing at this address.")
        headers = {
            "Cache-Control": "no-cache",
            "ETag": page.tag,
            "Vary": "Accept-Encoding",
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if page.media_type == "text/html":
            headers["Content-Security-Policy"] = POLICY
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

    async def demo(self, request: web.Request) -> web.Response:
        """What a page may know before it has a credential: the demo's key, or null."""
        return answer({"key": self._demo_key})
