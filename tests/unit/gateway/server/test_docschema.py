"""Schemas in words.

Invariant under test: every bound of a schema is said, and what it refers to is linked.
It must not know the documents.
"""

from typing import Any

import pytest

from gateway.server.docschema import fields, kind, name_of, note


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "string"}, "string"),
        ({}, "anything"),
        ({"type": ["string", "null"]}, "string or null"),
        ({"type": "integer", "minimum": 1, "maximum": 2}, "integer, 1 to 2"),
        ({"type": "integer", "minimum": 1}, "integer, 1 or more"),
        ({"type": "number", "maximum": 2}, "number, at most 2"),
        ({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 9}, "number, above 0, below 9"),
        ({"type": "string", "maxLength": 64}, "string, at most 64 characters"),
        ({"type": "array", "items": {"type": "string"}}, "list of string"),
        ({"type": "array"}, "list of anything"),
        ({"const": "ok"}, "<code>ok</code>"),
        ({"enum": ["a", None, ""]}, "<code>a</code>, <code>null</code>, <code>&quot;&quot;</code>"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "string or null"),
        ({"$ref": "#/components/schemas/StreamInfo"}, '<a href="#schema-streaminfo">StreamInfo</a>'),
    ],
)
def test_a_type_is_said_on_one_line(schema: dict[str, Any], words: str) -> None:
    """Types, choices, ranges, lists and links."""
    assert kind(schema) == words


def test_a_note_tells_the_default_that_matters() -> None:
    """Not one that is nothing; another description may stand in for the schema's own."""
    assert note({"description": "How\n often.", "default": 1}) == "How often. Default <code>1</code>."
    assert note({"description": "Who.", "default": None}) == "Who."
    assert note({"description": "Which.", "default": False}, "That.") == "That. Default <code>false</code>."
    assert note({}) == ""


def test_fields_are_a_table() -> None:
    """A row for each, with what may be left out; nothing for what is no object."""
    rows = fields({"required": ["a"], "properties": {"a": {"type": "string"}, "b": {}}}, "Fields of X")
    assert rows.count('role="row"') == 3
    assert rows.count("optional") == 2
    assert fields({"type": "string"}, "Fields of Y") == ""


def test_a_reference_names_its_last_part() -> None:
    """Whatever document it is of."""
    assert name_of("#/channels/session/messages/stream.created") == "stream.created"
