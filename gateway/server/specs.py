"""The door of the specifications: /openapi.yaml and /asyncapi.yaml as they are, and /docs, the page made of both.

Invariant: the documents are the files of gateway/spec, byte for byte; the page is made when it is first asked for, off
the loop, and once. It must not know what the documents say.
"""

import asyncio
import gzip
import hashlib
from importlib.resources import files

from aiohttp import web

from gateway.server import docs
from gateway.server.docmarkup import load
from gateway.server.pages import Page, serve

NAMES = ("openapi.yaml", "asyncapi.yaml")


def read_specs() -> dict[str, Page]:
    """Both documents by name. Reads the disk: not for the event loop."""
    folder = files("gateway").joinpath("spec")
    return {name: _page(folder.joinpath(name).read_bytes(), "application/yaml") for name in NAMES}


def _page(body: bytes, media_type: str) -> Page:
    tag = f'"{hashlib.sha256(body).hexdigest()[:20]}"'
    return Page(body, gzip.compress(body, mtime=0), media_type, tag)


class Specs:
    """The handlers. `template` is the page of the documents without them."""

    def __init__(self, documents: dict[str, Page], template: Page) -> None:
        self._documents = documents
        self._template = template
        self._docs: Page | None = None
        self._making = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [
            web.get("/openapi.yaml", self.document),
            web.get("/asyncapi.yaml", self.document),
            web.get("/docs", self.docs),
            # The template's own address has nothing to show without the documents.
            web.get("/docs.html", self.docs),
        ]

    async def document(self, request: web.Request) -> web.Response:
        return serve(self._documents[request.path.removeprefix("/")], request)

    async def docs(self, request: web.Request) -> web.Response:
        async with self._making:
            if self._docs is None:
                self._docs = await asyncio.to_thread(self._made)
        return serve(self._docs, request)

    def _made(self) -> Page:
        openapi, asyncapi = (load(self._documents[name].body) for name in NAMES)
        return _page(docs.page(self._template.body.decode(), openapi, asyncapi).encode(), "text/html")
