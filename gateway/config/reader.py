"""YAML text to plain values, strictly: what a configuration file may say is less than what YAML allows.

Invariant: the outcome is made of dict, list, str, int, float, bool and None unless the text tags a value otherwise, and
every problem is a sentence with a line in it that quotes no value of the file. Scalars follow YAML 1.2: `no` and
`12:30` are text, not false and 750. It must not know the schema, nor where the text comes from.
"""

import re
from collections.abc import Iterator
from typing import Any

import yaml


class _StrictLoader(yaml.SafeLoader):
    """The safe loader with the scalars of YAML 1.2, so that a tenant may be called `no`."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - the parent's attribute, emptied


for _tag, _pattern, _first in (
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("bool", r"true|True|TRUE|false|False|FALSE", list("tTfF")),
    ("int", r"[-+]?(?:0|[1-9][0-9_]*)", list("-+0123456789")),
    (
        "float",
        r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+|\.(?:inf|Inf|INF))|\.(?:nan|NaN|NAN)",
        list("-+0123456789."),
    ),
    ("merge", "<<", ["<"]),
):
    _StrictLoader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(f"^(?:{_pattern})$"), _first)


# An alias, an anchor or a tag that is quoted: in a value that begins with *, & or ! it is the value.
_NAMED = re.compile(r"(?<=alias|nchor|e tag|andle) ['\"].*", re.DOTALL)


def parse(text: str) -> tuple[Any, list[str]]:
    """The value of one YAML document (None when it is empty) and its problems; with a syntax error the value is None.

    A key given twice is a problem too, named by its path; the value is then the later one.
    """
    problems: list[str] = []
    try:
        loader = _StrictLoader(text)
        try:
            root = loader.get_single_node()
            if root is None:
                return None, problems
            problems += _duplicates(root, "", set())
            return loader.construct_document(root), problems
        finally:
            loader.dispose()
    except yaml.MarkedYAMLError as error:
        # The error's own text carries a snippet of the file, which may be a key: only its sentence is used.
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        problems.append(f"{where}{_NAMED.sub('', str(error.problem))}")
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        problems.append(f"line {line}: a character that YAML does not allow")
    except RecursionError:
        problems.append("nested too deeply")
    except (ValueError, LookupError, AttributeError):
        # The parser's constructors fail each in its own way on a number of thousands of digits or a tag that lies.
        problems.append("a value cannot be what its form or tag says")
    return None, problems


def _duplicates(node: yaml.Node, path: str, seen: set[int]) -> Iterator[str]:
    # An alias leads to a node that was visited: without `seen` a chain of them takes exponential time.
    if id(node) in seen:
        return
    seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            yield from _duplicates(item, f"{path}[{index}]", seen)
    elif isinstance(node, yaml.MappingNode):
        first: dict[str, int] = {}
        for key, value in node.value:
            name = f"{path}.{key.value}".lstrip(".")
            line = key.start_mark.line + 1
            if isinstance(key, yaml.ScalarNode):
                if key.value in first:
                    yield f"{name}: is given twice, in line {first[key.value]} and in line {line}"
                first.setdefault(key.value, line)
            yield from _duplicates(value, name, seen)
