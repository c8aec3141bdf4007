"""Markup for the page of the documents: escaped text, the little Markdown of descriptions, tables, code.

Invariant: whatever text comes in, no tag of it comes out. A table that is too wide scrolls by itself and can be reached
with the keyboard. It must not know what is described.
"""

import html
import json
import re
from collections.abc import Sequence
from typing import Any

import yaml

_CODE = re.compile(r"`([^`]+)`")
_BOLD = re.compile(r"\*\*([^*]+)\*\*")
# Columns that need no heading to be understood.
_PLAIN = ("Meaning", "Answer", "Type", "What", "Field")
_NOT_A_NAME = re.compile(r"[^a-z0-9]+")


def escape(text: object) -> str:
    """Text as it stands between tags and in attributes."""
    return html.escape(str(text))


def inline(text: str) -> str:
    """A line of a description: `code` and **strong** words."""
    return _BOLD.sub(r"<strong>\1</strong>", _CODE.sub(r"<code>\1</code>", escape(text)))


def prose(text: str | None) -> str:
    """A description: paragraphs, which an empty line divides."""
    paragraphs = re.split(r"\n\s*\n", (text or "").strip())
    return "".join([f"<p>{inline(' '.join(lines.split()))}</p>" for lines in paragraphs if lines])


def anchor(*words: str) -> str:
    """A name to link to."""
    return "-".join([_NOT_A_NAME.sub("-", word.lower()).strip("-") for word in words])


def heading(level: int, name: str, title: str) -> str:
    """A heading that can be linked to; `title` is markup."""
    return f'<h{level} id="{name}"><a href="#{name}">{title}</a></h{level}>'


def table(label: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table of cells that are markup; the first cell of a row is its heading. Without rows, nothing."""
    if not rows:
        return ""
    head = "".join([f'<th role="columnheader" scope="col">{escape(column)}</th>' for column in columns])
    body = "".join([f'<tr role="row">{_cells(row, columns)}</tr>' for row in rows])
    return (
        f'<div class="wide" role="group" aria-label="{escape(label)}" tabindex="0">'
        f'<table role="table"><thead role="rowgroup"><tr role="row">{head}</tr></thead>'
        f'<tbody role="rowgroup">{body}</tbody></table></div>'
    )


def _cells(row: Sequence[str], columns: Sequence[str]) -> str:
    """The roles are those that they have by themselves, until a narrow screen shows them one below the other; there a
    label stands before what does not speak for itself."""
    parts = [f'<th role="rowheader" scope="row">{row[0]}</th>']
    for cell, column in zip(row[1:], columns[1:], strict=True):
        label = "" if column in _PLAIN else f' data-label="{escape(column)}"'
        parts.append(f'<td role="cell"{label}>{cell}</td>')
    return "".join(parts)


def code(text: str, label: str) -> str:
    """Lines as they are."""
    return f'<pre tabindex="0" role="group" aria-label="{escape(label)}"><code>{escape(text)}</code></pre>'


def example(value: Any, label: str) -> str:
    """An example: text as it is, anything else as JSON, on one line while that is short."""
    if isinstance(value, str):
        return code(value.rstrip("\n"), label)
    short = json.dumps(value, ensure_ascii=False)
    return code(short if len(short) <= 88 else json.dumps(value, ensure_ascii=False, indent=2), label)


def load(text: bytes) -> dict[str, Any]:
    """A YAML document; by the C parser where it is there, for the other takes a second."""
    document: dict[str, Any] = yaml.load(text, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - both are safe loaders
    return document
