"""What a section of the configuration is, and how its keys are read back from it.

A key is one annotated attribute: its type with bounds, the sentence that documents it, marks, and its default.
Invariant: nothing of a key is written twice; whoever loads, prints or compares sections asks `keys_of`.
It must not know which sections there are.
"""

from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from msgspec import NODEFAULT, Meta, Struct
from msgspec.structs import fields

from gateway.config.secret import HIDDEN, redact


class Section(Struct, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A mapping in the file whose keys are all known. It does not show what may be a credential."""

    def __repr__(self) -> str:
        values = [(key, getattr(self, key.name)) for key in keys_of(type(self))]
        shown = [f"{key.name}={HIDDEN if key.secret and value else repr(value)}" for key, value in values]
        return redact(f"{type(self).__name__}({', '.join(shown)})")


@dataclass(frozen=True, slots=True)
class Key:
    """One key of a section as the loader and the document see it.

    `kind` is the annotation as written; `item` is the section behind it, if any, and `many` tells that a list of such
    sections is meant. `default` is NODEFAULT where a value is required.
    """

    name: str
    kind: Any
    doc: str
    default: Any
    secret: bool
    live: bool
    item: type[Section] | None
    many: bool


def keys_of(section: type[Section]) -> tuple[Key, ...]:
    """The keys of `section` in the order in which they are written above."""
    hints = get_type_hints(section, include_extras=True)
    keys = []
    for entry in fields(section):
        hint = hints[entry.name]
        parts = get_args(hint) if get_origin(hint) is Annotated else (hint,)
        many = get_origin(parts[0]) is list
        item = get_args(parts[0])[0] if many else parts[0]
        item = item if isinstance(item, type) and issubclass(item, Section) else None
        extra: dict[str, Any] = {}
        for part in parts[1:]:
            extra |= (part.extra or {}) if isinstance(part, Meta) else {"doc": part}
        default = entry.default if entry.default_factory is NODEFAULT else entry.default_factory()
        keys.append(
            Key(
                name=entry.name,
                kind=hint,
                doc=extra.get("doc") or (item.__doc__ if item else None) or "",
                default=default,
                secret="secret" in extra,
                live="live" in extra,
                item=item,
                many=many and item is not None,
            )
        )
    return tuple(keys)
