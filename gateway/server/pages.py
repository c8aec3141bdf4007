"""The player page and its scripts, served from memory with a strict content security policy.

Invariant: a page loads nothing from anywhere else and runs no inline script; files are revalidated by ETag. The demo
tells its page the demo key, and only the demo.
"""

import hashlib
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
TYPES = {"html": "text/html", "js": "text/javascript", "css": "text/css", "svg": "image/svg+xml"}


class Pages:
    """The files of gateway/web, each at its own name; `index.html` at /."""

    def __init__(self, demo_key: str | None) -> None:
        self._demo_key = demo_key
        self._files: dict[str, tuple[bytes, str, str]] = {}
        for entry in files("gateway").joinpath("web").iterdir():
            kind = TYPES.get(entry.name.rpartition(".")[2])
            if kind is not None:
                body = entry.read_bytes()
                self._files[entry.name] = (body, kind, f'"{hashlib.sha256(body).hexdigest()[:20]}"')

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/", self.page), web.get("/demo.json", self.demo), web.get("/{file}", self.page)]

    async def page(self, request: web.Request) -> web.Response:
        name = request.match_info.get("file", "index.html")
        found = self._files.get(name)
        if found is None:
            raise RequestError("not_found", "There is nothing at this address.")
        body, kind, tag = found
        headers = {
            "Cache-Control": "no-cache",
            "ETag": tag,
            "X-Content-Type-Options": "nosniff",
            "Referrer-Policy": "no-referrer",
        }
        if kind == "text/html":
            headers["Content-Security-Policy"] = POLICY
        else:
            headers["Access-Control-Allow-Origin"] = "*"
            headers["Cross-Origin-Resource-Policy"] = "cross-origin"
        if request.headers.get("If-None-Match") == tag:
            return web.Response(status=304, headers=headers)
        return web.Response(body=body, content_type=kind, charset="utf-8", headers=headers)

    async def demo(self, request: web.Request) -> web.Response:
        if self._demo_key is None:
            raise RequestError("not_found", "There is nothing at this address.")
        return answer({"key": self._demo_key})
