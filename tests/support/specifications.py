"""The two specifications as tests see them: loaded, their references followed, their schemas as validators.

Invariant: a validator here is stricter than the document: a field that is not written there fails, although clients
ignore it. It must not know what the gateway does.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from jsonschema import Draft202012Validator
from msgspec import UNSET, structs

from gateway.server.docmarkup import load
from gateway.server.docs import operations, resolved
from gateway.server.specs import read_specs

Document = Mapping[str, Any]
Schema = Mapping[str, Any]

_JSON = {str: "string", bool: "boolean", int: "integer", float: "number", type(None): "null"}
# The documents' names where they are not those of the structs; the limits are a mapping there.
OTHER_NAMES = {"Model": "ModelInfo", "SessionLimits": "object"}


def read(name: str) -> Document:
    """`openapi.yaml` or `asyncapi.yaml`."""
    return load(read_specs()[name].body)


def parameters(openapi: Document, place: str) -> Iterator[tuple[str, str, Schema]]:
    """Every parameter in `query`, `path` or `header`: path, method, itself."""
    for path, method, _, given in operations(openapi):
        yield from ((path, method, one) for one in given if one["in"] == place)


def validator(document: Document, schema: Schema) -> Draft202012Validator:
    """Of a schema of this document, with every object closed."""
    root = {"components": _closed(document["components"]), **_closed(schema)}
    return Draft202012Validator(json.loads(json.dumps(root)))


def _closed(value: Any) -> Any:
    if isinstance(value, dict):
        inner = {key: _closed(one) for key, one in value.items()}
        # In an `allOf` the other part has the fields.
        if "properties" in value and value.get("type") == "object":
            inner.setdefault("additionalProperties", False)
        return inner
    return [_closed(one) for one in value] if isinstance(value, list) else value


def mistakes(document: Document, schema: Schema, value: Any) -> list[str]:
    """What of a value is not as the document says."""
    return [f"{error.json_path}: {error.message}" for error in validator(document, schema).iter_errors(value)]


def kinds(document: Document, schema: Schema) -> set[str]:
    """What JSON values a schema allows: names of types, and of objects that have a name."""
    if "$ref" in schema:
        target = resolved(document, schema)
        name = schema["$ref"].rpartition("/")[2]
        return {OTHER_NAMES.get(name, name)} if target.get("type") == "object" else kinds(document, target)
    for word in ("anyOf", "oneOf"):
        if word in schema:
            return {one for part in schema[word] for one in kinds(document, part)}
    if "const" in schema:
        return {_JSON[type(schema["const"])]}
    if "enum" in schema:
        return {_JSON[type(value)] for value in schema["enum"]}
    types = schema.get("type", "any")
    found = set()
    for one in [types] if isinstance(types, str) else types:
        items = sorted(kinds(document, schema.get("items", {}))) if one == "array" else []
        found.add(f"array of {items}" if one == "array" else one)
    return found


def differences(document: Document, schema: Schema, struct: type[msgspec.Struct], *, sent: bool) -> list[str]:
    """In what the schema of an object is not that of a struct. `sent`: we write it; else we read it."""
    [inline], defs = msgspec.json.schema_components([struct])
    code = {"$defs": defs}
    theirs = resolved(code, inline)
    found = []
    ours, properties = schema.get("properties", {}), theirs["properties"]
    if set(ours) != set(properties):
        found.append(f"fields {sorted(ours)} are not {sorted(properties)}")
    for name in set(ours) & set(properties):
        if kinds(document, ours[name]) != kinds(code, properties[name]):
            found.append(f"{name} is {kinds(document, ours[name])}, not {kinds(code, properties[name])}")
        default = properties[name].get("default")
        default = list(default) if isinstance(default, tuple) else default
        if not sent and resolved(document, ours[name]).get("default") != default:
            found.append(f"{name} has another default than {default}")
    if set(schema.get("required", ())) != _required(struct, sent=sent):
        found.append(f"required {sorted(schema.get('required', ()))} are not {sorted(_required(struct, sent=sent))}")
    forbids = struct.__struct_config__.forbid_unknown_fields
    if (schema.get("additionalProperties") is False) != forbids:
        found.append("unknown fields are treated otherwise")
    return [f"{struct.__name__}: {one}" for one in found]


def _required(struct: type[msgspec.Struct], *, sent: bool) -> set[str]:
    config = struct.__struct_config__
    tag = {config.tag_field} if config.tag is not None else set()
    always = {
        field.encode_name
        for field in structs.fields(struct)
        if field.required or (sent and field.default is not UNSET and not config.omit_defaults)
    }
    return {str(name) for name in tag | always}
