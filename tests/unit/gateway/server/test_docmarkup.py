"""Markup of the page of the documents.

Invariant under test: no text becomes a tag; a table and lines of code can be reached and have a name.
It must not know the documents.
"""

import pytest
import yaml

from gateway.server.docmarkup import anchor, code, example, heading, inline, load, prose, table


def test_a_line_has_code_and_strong_words() -> None:
    """And everything else is text."""
    assert inline("`a<b>` and **c** & d") == "<code>a&lt;b&gt;</code> and <strong>c</strong> &amp; d"


def test_paragraphs_are_divided_by_empty_lines() -> None:
    """Lines of one are joined; nothing is no paragraph."""
    assert prose("one\ntwo\n\nthree\n") == "<p>one two</p><p>three</p>"
    assert prose(None) == prose("  ") == ""


def test_a_name_to_link_to_is_plain() -> None:
    """Whatever it is made of."""
    assert anchor("message", "stream.created") == "message-stream-created"
    assert heading(3, "x-y", "<b>z</b>") == '<h3 id="x-y"><a href="#x-y"><b>z</b></a></h3>'


def test_a_table_has_headings_both_ways() -> None:
    """Columns are text, cells are markup, and without rows there is no table."""
    made = table("A & B", ("<c>", "Meaning", "Retry"), [["<b>d</b>", "e", "f"]])
    assert 'aria-label="A &amp; B" tabindex="0"' in made
    assert '<th role="columnheader" scope="col">&lt;c&gt;</th>' in made
    assert '<th role="rowheader" scope="row"><b>d</b></th><td role="cell">e</td>' in made
    assert '<td role="cell" data-label="Retry">f</td>' in made
    assert table("A", ("c",), []) == ""


def test_examples_are_as_short_as_can_be() -> None:
    """Text as it is, JSON on one line while that can be read."""
    assert "<code>a\nb</code>" in example("a\nb\n", "x")
    assert "<code>{&quot;a&quot;: 1}</code>" in example({"a": 1}, "x")
    assert "\n  &quot;a&quot;" in example({"a": "b" * 100}, "x")
    assert 'aria-label="x"' in code("y", "x")


@pytest.mark.parametrize("without_c", [False, True])
def test_a_document_is_loaded_with_and_without_the_c_parser(without_c: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """And it is plain data: a tag that makes objects is refused."""
    if without_c:
        monkeypatch.delattr(yaml, "CSafeLoader", raising=False)
    assert load(b"a: [1, x]") == {"a": [1, "x"]}
    with pytest.raises(yaml.YAMLError):
        load(b"!!python/object/apply:os.getcwd []")
