"""Plain values to checked ones, section by section, with every mistake named by its path.

Invariant: a mistake is one sentence, `server.port: must be a port number from 0 to 65535, got 99999`; the value of a
key that may hold a credential is never part of it. Conversion goes on after a mistake, so that all are found at once.
It must not know files, variables or flags: whoever calls says where the values come from.
"""

import difflib
import re
from collections.abc import Mapping
from types import UnionType
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import msgspec

from gateway.config.schema import Config
from gateway.config.secret import redact
from gateway.config.section import Key, Section, keys_of

_S = TypeVar("_S", bound=Section)

_WORDS = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
_LONGEST_SHOWN = 60
_LONGEST_NAME = 18
_ODD = re.compile(r"[^A-Za-z0-9_.-]")


class Converter:
    """Reads the values of one origin and adds what is wrong with them to `problems`.

    `origin` ends each mistake, such as ` (from WAVEGATE__SERVER__PORT)`.
    """

    def __init__(self, problems: list[str], origin: str = "") -> None:
        self._problems = problems
        self._origin = origin

    def section(self, section: type[Section], value: Any, path: str = "") -> dict[str, Any]:
        """The keys that `value` gives, converted; a section below is a dict again, a wrong key is left out."""
        # A heading with nothing under it, as when all its keys are commented out, is null in YAML.
        if value is None:
            return {}
        if not isinstance(value, Mapping):
            # The value is not shown: text in the place of a tenant may be a key of that tenant.
            self._wrong(path or "the configuration", f"must be a mapping of keys, got {_kind(value)}")
            return {}
        keys = {key.name: key for key in keys_of(section)}
        found = {}
        for name, given in value.items():
            key = keys.get(name) if isinstance(name, str) else None
            if key is None:
                self._wrong(_below(path, _shown_name(name)), f"unknown key; {_hint(keys, str(name), path)}")
                continue
            converted = self._value(key, given, _below(path, key.name))
            if converted is not msgspec.UNSET:
                found[key.name] = converted
        return found

    def _value(self, key: Key, value: Any, path: str) -> Any:
        if key.item and key.many:
            if value is None:
                return []
            if not isinstance(value, list):
                return self._wrong(path, f"must be a list, got {_kind(value)}")
            return [self._entry(key.item, entry, f"{path}[{index}]") for index, entry in enumerate(value)]
        if key.item:
            return self.section(key.item, value, path)
        base = _base(key.kind)
        if get_origin(base) is list and isinstance(value, list):
            (kind,) = get_args(base)
            entries = [self._leaf(kind, entry, f"{path}[{index}]", key.secret) for index, entry in enumerate(value)]
            return msgspec.UNSET if msgspec.UNSET in entries else entries
        if get_origin(base) is dict and (value is None or isinstance(value, Mapping)):
            return self._named(get_args(base)[1], value or {}, path, key.secret)
        return self._leaf(key.kind, value, path, key.secret)

    def _entry(self, item: type[Section], value: Any, path: str) -> Section:
        found = self.section(item, value, path)
        for key in keys_of(item):
            if key.default is msgspec.NODEFAULT and key.name not in found:
                if value is None or (isinstance(value, Mapping) and key.name not in value):
                    self._wrong(_below(path, key.name), "is missing")
                # Keeps the entry's place in the list, so that later mistakes name the right one.
                found[key.name] = ""
        return build(item, found)

    def _named(self, kind: Any, values: Mapping[Any, Any], path: str, secret: bool) -> Any:
        """A mapping whose names are the user's own; what is wrong with one of them leaves out all."""
        found = {}
        for name, value in values.items():
            below = _below(path, _shown_name(name))
            if not isinstance(name, str):
                found[name] = self._wrong(below, "is no name; put it in quotes")
            elif isinstance(kind, type) and issubclass(kind, Section):
                found[name] = self._entry(kind, value, below)
            else:
                found[name] = self._leaf(kind, value, below, secret)
        return msgspec.UNSET if msgspec.UNSET in found.values() else found

    def _leaf(self, kind: Any, value: Any, path: str, secret: bool) -> Any:
        try:
            return msgspec.convert(value, kind)
        except msgspec.ValidationError:
            return self._wrong(path, f"must be {_expected(kind)}, got {_shown(kind, value, secret)}")

    def _wrong(self, path: str, sentence: str) -> Any:
        self._problems.append(f"{path}: {sentence}{self._origin}")
        return msgspec.UNSET


def build(section: type[_S], values: Mapping[str, Any]) -> _S:
    """The `section` with what `Converter.section` found, defaults elsewhere."""
    items = {key.name: key.item for key in keys_of(section) if key.item and not key.many}
    return section(**{name: build(items[name], value) if name in items else value for name, value in values.items()})


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


def _hint(keys: Mapping[str, Key], name: str, path: str) -> str:
    """What was probably meant: the nearest key of this section, else the same name in another one."""
    near = difflib.get_close_matches(name, keys, n=1)
    if near:
        return f"did you mean {_below(path, near[0])}?"
    for top in keys_of(Config):
        if top.item and not top.many and name in {key.name for key in keys_of(top.item)}:
            return f"did you mean {top.name}.{name}?"
    return f"known here: {', '.join(keys)}"


def _base(kind: Any) -> Any:
    return get_args(kind)[0] if get_origin(kind) is Annotated else kind


def _expected(kind: Any) -> str:
    """What a value of this type is, to follow "must be": its description if it has one, else the type in words."""
    if get_origin(kind) is Annotated:
        base, *marks = get_args(kind)
        descriptions = [mark.description for mark in marks if isinstance(mark, msgspec.Meta) and mark.description]
        return descriptions[0] if descriptions else _expected(base)
    if get_origin(kind) is Literal:
        return f"one of {', '.join(get_args(kind))}"
    if get_origin(kind) in (Union, UnionType):
        return " or ".join(_expected(part) for part in get_args(kind))
    if get_origin(kind) is list:
        return "a list"
    if get_origin(kind) is dict:
        return "a mapping of names"
    return _WORDS[kind]


def _kind(value: Any) -> str:
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list) else _WORDS.get(type(value), "something else")


def _shown(kind: Any, value: Any, secret: bool) -> str:
    """A wrong value for people: redacted, short, and only its kind when it may be a credential."""
    if not isinstance(value, str | int | float | bool):
        return _kind(value)
    if secret:
        return f"{_kind(value)} that is not shown"
    if isinstance(value, str):
        text = redact(value)
        return repr(text if len(text) <= _LONGEST_SHOWN else text[:_LONGEST_SHOWN] + "...")
    text = str(value).lower()
    return f"{text}; put text in quotes" if _base(kind) is str else text


def _shown_name(name: Any) -> str:
    # It is as the operator has written it, and with a colon or its blank forgotten he has written a value there, too.
    whole = redact(str(name))
    shown = _ODD.split(whole, 1)[0][:_LONGEST_NAME]
    return shown if shown and shown == whole else repr(shown + "…")
