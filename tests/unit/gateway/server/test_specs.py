"""The door of the specifications, over HTTP.

Invariant under test: the documents are served byte for byte to pages of every origin, and revalidated; the page is made
once, however many ask first. It must not know what is written in them.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import aiohttp
import pytest

from gateway.server import docs
from gateway.server.pages import read_pages
from gateway.server.specs import NAMES, Specs, read_specs
from tests.house.tree import ROOT
from tests.support.server import served

# Read here, where no loop waits.
DOCUMENTS = read_specs()
TEMPLATE = read_pages()["docs.html"]
FILES = {name: (ROOT / "gateway/spec" / name).read_bytes() for name in NAMES}


@asynccontextmanager
async def visitor() -> AsyncIterator[aiohttp.ClientSession]:
    specs = Specs(DOCUMENTS, TEMPLATE)
    async with (
        served(*specs.routes()) as port,
        aiohttp.ClientSession(f"http://127.0.0.1:{port}", timeout=aiohttp.ClientTimeout(20)) as http,
    ):
        yield http


@pytest.mark.parametrize("name", NAMES)
async def test_a_document_is_the_file(name: str) -> None:
    """Type, bytes, and that pages of every origin may read it; who has it already is told so."""
    async with visitor() as http:
        async with http.get(f"/{name}") as response:
            assert response.status == 200
            assert response.content_type == "application/yaml"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
            assert await response.read() == FILES[name]
            tag = response.headers["ETag"]
        async with http.get(f"/{name}", headers={"If-None-Match": tag}) as response:
            assert response.status == 304
            assert await response.read() == b""
        async with http.head(f"/{name}") as response:
            assert (response.status, response.headers["ETag"]) == (200, tag)


async def test_the_page_is_made_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of many who ask first, all get the same page; it is strict, and revalidated."""
    made, page = list[str](), docs.page

    def counted(*documents: object) -> str:
        made.append("once")
        return page(*documents)  # type: ignore[arg-type]  # handed through as they came

    monkeypatch.setattr(docs, "page", counted)

    async def ask(http: aiohttp.ClientSession, path: str) -> tuple[str, str]:
        async with http.get(path) as response:
            assert response.status == 200
            assert response.content_type == "text/html"
            assert "default-src 'self'" in response.headers["Content-Security-Policy"]
            return await response.text(), response.headers["ETag"]

    async with visitor() as http:
        answers = await asyncio.gather(*[ask(http, path) for path in ("/docs", "/docs", "/docs.html")])
        async with http.get("/docs", headers={"If-None-Match": answers[0][1]}) as response:
            assert response.status == 304
    assert made == ["once"]
    assert len(set(answers)) == 1
    assert "createstream" in answers[0][0]
