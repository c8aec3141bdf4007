"""What workers and supervisors say to each other: every word comes back as it was said.

Invariant under test: a word is one line, whatever stands in it.
It must not know what comes of it.
"""

import pytest

from gateway.workers.messages import Last, Leaving, Message, Ready, decoder, line


@pytest.mark.parametrize("message", [Ready("http://a", "http://b"), Leaving(), Last("one\ntwo\n")])
def test_a_word_is_a_line(message: Message) -> None:
    """A page of many lines is one word, too."""
    said = line(message)
    assert said.endswith(b"\n")
    assert said.count(b"\n") == 1
    assert decoder.decode(said) == message
