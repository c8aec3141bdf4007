"""The rule about the handbook: every error and every way in which a session closes has its row, and says what is so.

Invariant: the errors are those of `gateway/errors.py`, the closes those of the specification; a row too many is named
like one that is missing. Links of documents lead to files and headings that are there.
It must not judge what a row advises.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from gateway.errors import Handling

CODES = "deploy/CODES.md"
# [what it is called](where), and ![pictures](too); other people's addresses are not followed.
LINK = re.compile(r"!?\[[^\]]*\]\((?!https?:)([^)#\s]*)(?:#([^)\s]*))?\)")
FENCED = re.compile(r"^```.*?^```", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^#+ +(.+)$", re.MULTILINE)


def rows(text: str, heading: str) -> list[list[str]]:
    """The cells of each row of the first table below a heading, without its head and without back quotes."""
    below = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    lines = [line for line in below.splitlines() if line.startswith("|")]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines[2:]]


def code_complaints(text: str, handling: Mapping[str, Handling], closes: list[dict[str, Any]]) -> list[str]:
    """One sentence for each row that is missing, too many, or says what is not so."""
    errors = {
        code: [str(one.status), str(one.close), "yes" if one.retryable else "no"] for code, one in handling.items()
    }
    ends = {str(one["code"]): [one["client"]] for one in closes}
    told = {code: cells[:3] for code, *cells in rows(text, "Errors")}
    told_ends = {code: cells[1:2] for code, *cells in rows(text, "Close codes of a WebSocket")}
    return [*_differences("error", errors, told), *_differences("close code", ends, told_ends)]


def _differences(kind: str, real: Mapping[str, list[str]], told: Mapping[str, list[str]]) -> Iterator[str]:
    yield from (f"{CODES}: the {kind} {code} is missing" for code in real if code not in told)
    yield from (f"{CODES}: there is no {kind} {code}" for code in told if code not in real)
    for code in real.keys() & told.keys():
        if real[code] != told[code]:
            yield f"{CODES}: the {kind} {code} says {', '.join(told[code])} and is {', '.join(real[code])}"


def link_complaints(root: Path) -> list[str]:
    """One sentence for each link in a document of ours that leads to no file or to no heading."""
    found = []
    for document in documents(root):
        for path, anchor in LINK.findall(FENCED.sub("", document.read_text(encoding="utf-8"))):
            target = (document.parent / path) if path else document
            named = f"{document.relative_to(root)}: {path}{'#' + anchor if anchor else ''}"
            if not target.exists():
                found.append(f"{named} is not there")
            elif anchor and target.suffix == ".md" and anchor not in anchors(target.read_text(encoding="utf-8")):
                found.append(f"{named} has no such heading")
    return found


def documents(root: Path) -> list[Path]:
    """The Markdown files that people read: none of other people's, none of hidden folders but `.github`."""
    folders = [root / name for name in ("gateway", "transcode", "metrics", "tests", "deploy", ".github")]
    below = (path for folder in folders for path in folder.rglob("*.md") if "node_modules" not in path.parts)
    hidden = (path for path in below if not any(part.startswith(".") for part in path.relative_to(root).parts[1:]))
    return sorted([*root.glob("*.md"), *hidden])


def anchors(text: str) -> set[str]:
    """What headings are called in links, as GitHub makes it: small letters, no signs, hyphens for spaces."""
    return {
        re.sub(r"[^\w\- ]", "", heading.strip().lower()).replace(" ", "-")
        for heading in HEADING.findall(FENCED.sub("", text))
    }
