"""The documented YAML of all defaults, made from the schema alone.

Invariant: the text, loaded as a file, gives exactly `Config()`, and the same schema gives the same text. Each key
stands below the sentence that documents it. It must not know a name or a value that the schema does not tell it.
"""

import json
import re
import textwrap
from collections.abc import Iterator
from typing import Annotated, Any, get_args, get_origin

import yaml
from msgspec import NODEFAULT, Meta

from gateway.config.schema import Config
from gateway.config.section import Key, Section, keys_of

# Of a comment without its indentation, of which there are at most 8 columns.
_WIDTH = 108
_PREFACE = """\
Wavegate's configuration. Every key stands here with its default: an empty file means the same as this one.
Times are seconds and sizes are bytes. A key that is not known is an error. Changes are taken up at the next start;
those of keys that say so, also by a running gateway at SIGHUP.

The environment wins over this file (WAVEGATE__SERVER__PORT=9000), and a flag of the command line over both.
"""
_LIVE = " SIGHUP takes it up."
_ENTRY = " The entry below is an example, commented out."
_BARE = re.compile(r"[A-Za-z0-9/][A-Za-z0-9_./:-]*")


def default_yaml() -> str:
    """The file, ready to be edited: deploy/wavegate.yaml is this text."""
    lines = [f"# {line}".rstrip() for line in _PREFACE.splitlines()]
    for key in keys_of(Config):
        lines += ["", *_key(key, key.default)]
    return "\n".join(lines) + "\n"


def _key(key: Key, value: Any) -> Iterator[str]:
    yield from _comment(key.doc + (_LIVE if key.live else "") + (_ENTRY if key.many else ""))
    if key.item and key.many:
        # With nothing but comments under it, the list is empty; uncommented, the entry stands where it belongs.
        yield f"{key.name}:"
        yield from (f"  # {line}" for line in _example_entry(key.item))
    elif key.item and keys_of(key.item):
        yield f"{key.name}:"
        for below in keys_of(key.item):
            yield from (f"  {line}" for line in _key(below, getattr(value, below.name)))
    else:
        yield f"{key.name}: {_scalar(value)}{_in_words(key, value)}"


def _example_entry(item: type[Section]) -> Iterator[str]:
    dash = "- "
    for key in keys_of(item):
        for line in _key(key, key.default if key.item else _example(key)):
            # The list's dash belongs to the first key, not to the comment above it.
            if line.startswith("#"):
                yield f"{'' if dash == '- ' else '  '}{line}"
            else:
                yield f"{dash}{line}"
                dash = "  "


def _example(key: Key) -> Any:
    """What to show for a key of a list's entry: its default, unless that is nothing at all."""
    if key.default is not NODEFAULT and key.default != []:
        return key.default
    kind = get_args(key.kind)[0]
    if get_origin(kind) is list:
        return _examples(get_args(kind)[0])
    return _examples(key.kind)[0]


def _examples(kind: Any) -> list[Any]:
    marks = get_args(kind)[1:] if get_origin(kind) is Annotated else ()
    return [example for mark in marks if isinstance(mark, Meta) for example in mark.examples or ()]


def _comment(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent="# ", subsequent_indent="# ", break_on_hyphens=False)


def _scalar(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(_scalar(item) for item in value)}]"
    if isinstance(value, str):
        # Bare only where every YAML reader takes it for this very text.
        bare = _BARE.fullmatch(value) and not value.endswith(":") and yaml.safe_load(value) == value
        return value if bare else json.dumps(value)
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return json.dumps(value) if not isinstance(value, Section) else "{}"


def _in_words(key: Key, value: Any) -> str:
    """The size that a large number of bytes is, as a comment behind it."""
    if not key.name.endswith("_bytes") or not value or value % 1024:
        return ""
    return f"  # {value >> 20} MiB" if value % 2**20 == 0 else f"  # {value >> 10} KiB"
