"""Tests of what stands behind the question mark: numbers are read or refused by name, a format is put together of them.

Invariant under test: no text raises anything but a RequestError.
It must not know streams.
"""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.protocol.messages import FormatSpec
from gateway.server.query import asked_format, number


def test_a_format_is_the_extension_and_its_numbers() -> None:
    """What is not said is left to the song."""
    query = {"rate": "24000", "channels": "1", "bitrate": "32000", "loudness": "-16.5", "since": "live"}
    assert asked_format("ogg", query) == FormatSpec("ogg", 24000, 1, 32000, -16.5)
    assert asked_format("ogg", {}) == FormatSpec("ogg")


@pytest.mark.parametrize("text", ["", "x", "1e5", "24000.5", "nan", "inf", "9" * 5000, "１２", " 1", "0x10"])
def test_what_is_no_whole_number_is_refused_by_name(text: str) -> None:
    with pytest.raises(RequestError, match="whole") as refused:
        number({"rate": text}, "rate", int)
    assert (refused.value.code, refused.value.param) == ("invalid_request", "rate")


@given(st.text())
def test_any_text_is_a_number_or_a_refusal(text: str) -> None:
    """Nothing else comes of it."""
    with suppress(RequestError):
        assert isinstance(number({"start": text}, "start", float), float)
