"""The page made of the two documents.

Invariant under test: all that the documents name is on the page and can be linked to, every link leads somewhere, and
nothing of them becomes a tag. It must not repeat how the page looks.
"""

import gzip
import re
from collections import Counter
from html.parser import HTMLParser

from gateway.server import docs
from gateway.server.docmarkup import anchor
from gateway.server.pages import read_pages
from tests.support.specifications import read

OPENAPI, ASYNCAPI = read("openapi.yaml"), read("asyncapi.yaml")
TEMPLATE = read_pages()["docs.html"].body.decode()
PAGE = docs.page(TEMPLATE, OPENAPI, ASYNCAPI)
VOID = {"meta", "link", "input", "wbr", "path"}


class Seen(HTMLParser):
    """What a page holds, and whether its tags fit."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.ids: Counter[str] = Counter()
        self.links: set[str] = set()
        self.attributes: set[str] = set()
        self.levels: list[int] = []
        self.crossed: list[str] = []
        self._open: list[str] = []
        self.feed(page)
        self.crossed += self._open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = dict(attrs)
        self.attributes |= set(given)
        self.ids.update([given["id"] or ""] if "id" in given else [])
        if tag == "a":
            self.links.add(given.get("href") or "")
        if re.fullmatch(r"h\d", tag):
            self.levels.append(int(tag[1]))
        if tag not in VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID and self._open.pop() != tag:
            self.crossed.append(tag)


SEEN = Seen(PAGE)


def test_its_tags_fit_and_its_names_are_its_own() -> None:
    """Every tag is closed where it should be, no id is given twice, and no mark of the template is left."""
    assert SEEN.crossed == []
    assert [name for name, count in SEEN.ids.items() if count > 1] == []
    assert "<!--" not in PAGE


def test_every_link_leads_somewhere() -> None:
    """To a name on the page, or to a door of the gateway."""
    inside = {link.removeprefix("#") for link in SEEN.links if link.startswith("#")}
    assert inside - set(SEEN.ids) == set()
    assert {link for link in SEEN.links if not link.startswith("#")} == {"/", "/openapi.yaml", "/asyncapi.yaml"}


def test_everything_that_is_named_is_there() -> None:
    """Operations, messages, schemas, error codes, close codes, formats."""
    wanted = {anchor("op", operation["operationId"]) for _, _, operation, _ in docs.operations(OPENAPI)}
    wanted |= {anchor("message", name) for name in ASYNCAPI["components"]["messages"]}
    schemas = {**OPENAPI["components"]["schemas"], **ASYNCAPI["components"]["schemas"]}
    wanted |= {anchor("schema", name) for name in schemas}
    wanted |= {anchor("error", one["const"]) for one in OPENAPI["components"]["schemas"]["ErrorCode"]["oneOf"]}
    assert wanted - set(SEEN.ids) == set()
    for row in ASYNCAPI["channels"]["session"]["x-close-codes"]:
        assert f"<code>{row['code']}</code>" in PAGE
    for one in OPENAPI["components"]["schemas"]["Format"]["oneOf"]:
        assert ("x-codec" not in one) or f"<code>.{one['const']}</code>" in PAGE


def test_it_can_be_walked_through_by_headings() -> None:
    """One first heading, and none that skips a level."""
    assert SEEN.levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip(SEEN.levels, SEEN.levels[1:], strict=False))


def test_it_needs_no_style_and_no_script_of_its_own() -> None:
    """What the content security policy would refuse is not there."""
    assert not {name for name in SEEN.attributes if name == "style" or name.startswith("on")}
    assert "<style" not in PAGE
    assert re.findall(r"<script[^>]*>(.*?)</script>", PAGE, re.DOTALL) == [""]


def test_what_documents_say_stays_text() -> None:
    """A tag in a description, a summary or an example is shown and not obeyed."""
    evil = "<script>alert('x')</script>"
    operation = {**OPENAPI["paths"]["/healthz"]["get"], "summary": evil, "description": evil}
    document = {**OPENAPI, "paths": {"/healthz": {"get": operation}}}
    page = docs.page(TEMPLATE, document, ASYNCAPI)
    assert evil not in page
    assert page.count("&lt;script&gt;alert") == 2


def test_codes_of_an_answer_without_any() -> None:
    """A body of another kind has none, and so has a refusal that does not say."""
    assert docs.codes({"content": {"text/html": {}}}) == []
    loose = {"allOf": [{"$ref": "#/components/schemas/Error"}]}
    assert docs.codes({"content": {"application/json": {"schema": loose}}}) == []


def test_it_stays_small() -> None:
    """All that is sent for the page, zipped as it is sent: what a slow line takes in a second."""
    files = read_pages()
    sent = [gzip.compress(PAGE.encode()), *[files[name].zipped for name in ("docs.css", "docs.js", "style.css")]]
    assert sum(map(len, sent)) < 60_000
