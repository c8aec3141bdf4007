"""JSON Schemas in words: the type of a value on one line, the fields of an object as a table.

Invariant: what a schema bounds is said, and what it refers to by name is linked, so no field hides behind a name.
It must not know whether a schema is of OpenAPI or of AsyncAPI: both are JSON Schema.
"""

import json
from collections.abc import Mapping
from typing import Any

from gateway.server.docmarkup import anchor, escape, inline, table

Schema = Mapping[str, Any]

_WORDS = {"array": "list", "null": "null", "number": "number", "integer": "integer", "string": "string"}
_COMBINED = ("anyOf", "oneOf")


def name_of(reference: str) -> str:
    """The last part of a `$ref`."""
    return reference.rpartition("/")[2]


def kind(schema: Schema) -> str:
    """What a value is, as markup: `integer, 1 to 1000`, `string or null`, a link to a named schema."""
    if "$ref" in schema:
        name = name_of(schema["$ref"])
        return f'<a href="#{anchor("schema", name)}">{escape(name)}</a>'
    for word in _COMBINED:
        if word in schema:
            return " or ".join([kind(one) for one in schema[word]])
    if "const" in schema:
        return f"<code>{escape(_literal(schema['const']))}</code>"
    if "enum" in schema:
        return ", ".join([f"<code>{escape(_literal(value))}</code>" for value in schema["enum"]])
    types = schema.get("type", "anything")
    words = " or ".join([_word(schema, one) for one in ([types] if isinstance(types, str) else types)])
    return ", ".join([words, *_bounds(schema)])


def _word(schema: Schema, name: str) -> str:
    if name == "array":
        return f"list of {kind(schema.get('items', {}))}"
    return _WORDS.get(name, name)


def _bounds(schema: Schema) -> list[str]:
    low, high = schema.get("minimum"), schema.get("maximum")
    found = []
    if low is not None and high is not None:
        found.append(f"{low} to {high}")
    elif low is not None:
        found.append(f"{low} or more")
    elif high is not None:
        found.append(f"at most {high}")
    if "exclusiveMinimum" in schema:
        found.append(f"above {schema['exclusiveMinimum']}")
    if "exclusiveMaximum" in schema:
        found.append(f"below {schema['exclusiveMaximum']}")
    if "maxLength" in schema:
        found.append(f"at most {schema['maxLength']} characters")
    return found


def note(schema: Schema, description: str | None = None) -> str:
    """What is said of a value, and its default if that is one to be told."""
    said = " ".join((description or schema.get("description", "")).split())
    default = schema.get("default")
    if default not in (None, "", []):
        said = f"{said} Default `{_literal(default)}`.".strip()
    return inline(said)


def fields(schema: Schema, label: str) -> str:
    """The fields of an object as a table; nothing for what is no object."""
    required = schema.get("required", ())
    rows = []
    for name, value in schema.get("properties", {}).items():
        mark = "" if name in required else ' <small class="optional">optional</small>'
        rows.append([f"<code>{escape(name)}</code>{mark}", kind(value), note(value)])
    return table(label, ("Field", "Type", "Meaning"), rows)


def _literal(value: Any) -> str:
    return value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
