"""The strict YAML reader: scalars of YAML 1.2, keys given once, problems with a line and without the file's values.

Invariant: whatever the text, `parse` answers with a value and problems; it never raises.
They must not know the schema.
"""

import math
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.config.reader import parse


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("", None),
        ("# only a comment\n", None),
        ("~", None),
        ("a:", {"a": None}),
        ("9000", 9000),
        ("-3", -3),
        ("16_777_216", 16777216),
        ("1.5", 1.5),
        ("5.", 5.0),
        (".5", 0.5),
        ("1e3", 1000.0),
        ("1.5e-3", 0.0015),
        (".inf", math.inf),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("no", "no"),
        ("on", "on"),
        ("12:30", "12:30"),
        ("010", "010"),
        ("2026-01-01", "2026-01-01"),
        ("127.0.0.1", "127.0.0.1"),
        ("{a: 1, b: [x, 'y']}", {"a": 1, "b": ["x", "y"]}),
        ("base: &b {a: 1}\nmore: {<<: *b, c: 2}", {"base": {"a": 1}, "more": {"a": 1, "c": 2}}),
    ],
)
def test_values(text: str, value: Any) -> None:
    """Scalars, flows and merges have the meaning of YAML 1.2."""
    assert parse(text) == (value, [])
    assert type(parse(text)[0]) is type(value)


def test_duplicate_keys() -> None:
    """Each key given twice is named with its path and both lines, however deep, and parsing goes on."""
    text = "server:\n  port: 1\n  host: a\n  port: 2\ntenants:\n- id: a\n  id: b\nserver: {}\n"
    value, problems = parse(text)
    assert value == {"server": {}, "tenants": [{"id": "b"}]}
    assert sorted(problems) == [
        "server.port: is given twice, in line 2 and in line 4",
        "server: is given twice, in line 1 and in line 8",
        "tenants[0].id: is given twice, in line 6 and in line 7",
    ]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("server:\n  host: a: b\n", "line 2, column 10: mapping values are not allowed here"),
        ("a: [1, 2\n", "line 2, column 1: expected ',' or ']', but got '<stream end>'"),
        ("? [a]\n: 1\n", "line 1, column 3: found unhashable key"),
        ("a: 1\n---\nb: 2\n", "line 2, column 1: but found another document"),
        ("a: !!python/object:os.system x", "line 1, column 4: could not determine a constructor for the tag"),
        ("a: 1\nb: \x07\n", "line 2: a character that YAML does not allow"),
        ("[" * 5000, "nested too deeply"),
        ("!!bool maybe", "a value cannot be what its form or tag says"),
        ("!!timestamp soon", "a value cannot be what its form or tag says"),
        ("1" * 5000, "a value cannot be what its form or tag says"),
    ],
)
def test_problems(text: str, problem: str) -> None:
    """What is not YAML of ours gives no value and one sentence that says where."""
    value, problems = parse(text)
    assert value is None
    assert len(problems) == 1
    assert problems[0].startswith(problem)


@pytest.mark.parametrize(
    "text",
    [
        "keys:\n  first: topsecret: more\n",
        "password: *topsecret",
        "password: !topsecret",
        "password: !topsecret!topsecret x",
        "password: &topsecret &topsecret a",
        "a: &topsecret 1\nb: &topsecret 2\nc: [",
        "%TAG !topsecret! tag:x\n%TAG !topsecret! tag:x\n---\na",
    ],
)
def test_problem_quotes_no_value(text: str) -> None:
    """A syntax error beside a key does not bring the key into the problem, nor one that begins as an alias or tag."""
    _, problems = parse(text)
    assert len(problems) == 1
    assert "topsecret" not in problems[0]


def test_aliases_cost_once() -> None:
    """A tower of aliases, each naming the one below many times, is read without walking it out."""
    tower = "a0: &a0 [x]\n" + "".join(
        f"a{level}: &a{level} [{', '.join([f'*a{level - 1}'] * 9)}]\n" for level in range(1, 40)
    )
    value, problems = parse(tower)
    assert problems == []
    assert len(value) == 40


def test_a_value_may_contain_itself() -> None:
    """A list that is its own item is a value like another; whoever converts it will refuse it."""
    value, problems = parse("a: &a [*a]")
    assert problems == []
    assert value["a"][0] is value["a"]


@given(st.text(alphabet="ab:- \n\t[]{}!&*<>|'\"#%,?01.~\x00\ud800", max_size=60))
@example("%YAML 9\n---\na")
@example("!!int ''")
def test_never_raises(text: str) -> None:
    """Any text gives either a value without a word, or problems that are sentences of one line."""
    _, problems = parse(text)
    assert all(problem and "\n" not in problem for problem in problems)
