"""Letters between nodes, and refusals that travel in them.

Invariant under test: what was raised there is raised here, and what a node of another version writes is read.
It must not need a server.
"""

import msgspec
import pytest

from gateway.cluster.letter import Letter, Refusal, read, write
from gateway.errors import AccessError, LimitError, RequestError, ServiceError, UpstreamError, WavegateError


def test_a_letter_is_read_as_it_was_written() -> None:
    letter = Letter("n_1", "want", 7, b"\x00\xff", Refusal("LimitError", "rate_exceeded", "no", "a.b", 1.5), 2.5)
    assert read(write(letter)) == letter
    assert read(write(Letter("n_1", "want"))) == Letter("n_1", "want", 0, b"", None, 0.0)


# A name that is no UTF-8, and more lists in lists than there may be behind the fields that are known.
STRANGE = (b"\x92\xa1\xff\xa1k", write(Letter("n", "k")).replace(b"\x96", b"\x97", 1) + b"\x91" * 5000 + b"\x01")


@pytest.mark.parametrize(
    "octets", [b"", b"\xc1", b"nonsense", write(Letter("n", "k"))[:-1], msgspec.msgpack.encode(3), *STRANGE]
)
def test_what_is_no_letter_is_none(octets: bytes) -> None:
    assert read(octets) is None


def test_a_newer_version_s_letter_is_read() -> None:
    assert read(msgspec.msgpack.encode(["n_1", "want", 0, b"b", None, 0.0, "news"])) == Letter("n_1", "want", 0, b"b")


@pytest.mark.parametrize(
    "error",
    [
        RequestError("stream_not_found", "There is none.", param="stream_id"),
        AccessError("forbidden", "You may not."),
        LimitError("rate_exceeded", "Not now.", retry_after=2.5),
        UpstreamError("upstream_busy", "It is busy.", retry_after=1.0),
        ServiceError("going_away", "It stops."),
    ],
    ids=lambda error: type(error).__name__,
)
def test_a_refusal_is_raised_as_it_was(error: WavegateError) -> None:
    again = Refusal.of(error).error()
    assert type(again) is type(error)
    assert again.body() == error.body()


@pytest.mark.parametrize("refusal", [Refusal("ServiceError", "from_2030", "?"), Refusal("Odd", "internal", "?")])
def test_a_newer_version_s_refusal_is_internal(refusal: Refusal) -> None:
    error = refusal.error()
    assert isinstance(error, ServiceError)
    assert error.code == "internal"
