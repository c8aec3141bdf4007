"""The handbook: the house keeps the rule, and the rule sees rows and links that are not so.

Invariant: the real tables are compared with the code's own table and with the specification.
It must not know what the rows advise.
"""

import tomllib
from pathlib import Path

import yaml

from gateway import __version__
from gateway.errors import HANDLING, Handling
from tests.house.handbook import CODES, anchors, code_complaints, link_complaints
from tests.house.tree import ROOT

TABLES = """
## Errors

| code | HTTP | close | again | what |
|---|---|---|---|---|
| `off_key` | 400 | 1008 | no | sing better |
| `too_loud` | 429 | 4100 | no | softly |

## Close codes of a WebSocket

| code | means | the client | for you |
|---|---|---|---|
| 1000 | done | stop | well |
"""


def test_every_error_and_every_close_has_its_row() -> None:
    """The handbook's tables hold each error with its status, close code and whether to retry, and each close code."""
    specification = yaml.safe_load((ROOT / "gateway/spec/asyncapi.yaml").read_text(encoding="utf-8"))
    closes = specification["channels"]["session"]["x-close-codes"]
    found = code_complaints((ROOT / CODES).read_text(encoding="utf-8"), HANDLING, closes)
    assert not found, "\n".join(found)


def test_every_link_of_the_documents_leads_somewhere() -> None:
    """Files and headings that a document of the house links to are there."""
    found = link_complaints(ROOT)
    assert not found, "\n".join(found)


def test_the_version_is_one_and_the_changelog_knows_it() -> None:
    """`pyproject.toml`, the package, and the changelog's newest entry say the same version."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == __version__
    newest = (ROOT / "deploy/CHANGELOG.md").read_text(encoding="utf-8").partition("\n## [")[2]
    assert __version__ in newest


def test_rows_that_are_missing_too_many_or_wrong_are_named() -> None:
    """Each is named with what it says and what is so."""
    handling = {"off_key": Handling(400, 1008), "too_loud": Handling(429, 4100, True), "silent": Handling(502, 4103)}
    assert code_complaints(
        TABLES, handling, [{"code": 1000, "client": "back off"}, {"code": 1001, "client": "stop"}]
    ) == [
        f"{CODES}: the error silent is missing",
        f"{CODES}: the error too_loud says 429, 4100, no and is 429, 4100, yes",
        f"{CODES}: the close code 1001 is missing",
        f"{CODES}: the close code 1000 says stop and is back off",
    ]
    assert f"{CODES}: there is no error off_key" in code_complaints(TABLES, {}, [])


def test_links_that_lead_nowhere_are_named(tmp_path: Path) -> None:
    """A file that is not there, and a heading that is not; addresses of others and fenced text are left alone."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "deploy/more.md").write_text("# How far it goes\n\n[back](../README.md#the-top)\n")
    (tmp_path / "README.md").write_text(
        "# The top\n[a](deploy/more.md#how-far-it-goes) [b](#nowhere) ![c](none.png) [d](https://example.org/x)\n"
        "[e](deploy/more.md#gone)\n```\n[f](fenced.md)\n```\n"
    )
    assert link_complaints(tmp_path) == [
        "README.md: #nowhere has no such heading",
        "README.md: none.png is not there",
        "README.md: deploy/more.md#gone has no such heading",
    ]


def test_headings_are_called_as_github_calls_them() -> None:
    """Signs are left out, spaces become hyphens, and what looks like a heading in fenced text is none."""
    assert anchors("## What it is, and `how`\n```sh\n# a comment\n```\n### 1.0.0 (today)\n") == {
        "what-it-is-and-how",
        "100-today",
    }
