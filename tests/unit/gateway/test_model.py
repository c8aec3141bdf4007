"""Tests of the shared nouns: values that nobody changes, and the one cache among them.

Invariant under test: nouns are frozen; the numbers of kinds and flags are those on the wire; a chunk's wire forms are
each built once. It must not know who makes them.
"""

import dataclasses

from gateway import model
from gateway.model import Chunk, Flag, Kind, Mode, Position, RenditionId, SpeechInput, SpeechRequest, Status, StreamId

RENDITION = RenditionId(StreamId("st_1"), number=7, epoch=3)


def test_nouns_are_frozen() -> None:
    """Every dataclass here is frozen and has no room for another attribute."""
    nouns = [noun for noun in vars(model).values() if isinstance(noun, type) and dataclasses.is_dataclass(noun)]
    assert len(nouns) > 5
    for noun in nouns:
        assert vars(noun)["__dataclass_params__"].frozen, noun
        assert "__slots__" in vars(noun), noun


def test_three_statuses_are_final() -> None:
    """Nothing follows completed, failed and cancelled; queued and running go on."""
    assert [status.value for status in Status if status.final] == ["completed", "failed", "cancelled"]
    assert [status.value for status in Status if not status.final] == ["queued", "running"]


def test_numbers_on_the_wire() -> None:
    """Kinds and flags have the numbers that clients know."""
    assert (int(Kind.AUDIO), int(Kind.INIT)) == (1, 2)
    assert (Flag.NONE, Flag.RANDOM_ACCESS, Flag.DISCONTINUITY, Flag.LAST) == (0, 1, 2, 4)


def test_positions_are_ordered_within_an_epoch() -> None:
    """A later chunk of the same log is a greater position."""
    assert Position(3, 1) < Position(3, 2)
    assert Position(3, 1) == (3, 1)


def test_a_wire_form_is_built_once() -> None:
    """However many ask for a form, its builder runs once, and all get the same object; each form for itself."""
    built: list[str] = []

    def loud(chunk: Chunk) -> bytes:
        built.append("loud")
        return chunk.payload.upper()

    def quiet(chunk: Chunk) -> bytes:
        built.append("quiet")
        return b""

    chunk, other = Chunk(RENDITION, 0, 0, 10, b"la"), Chunk(RENDITION, 1, 10, 10, b"lo")
    assert [chunk.wire(loud), chunk.wire(quiet), other.wire(loud)] == [b"LA", b"", b"LO"]
    assert chunk.wire(loud) is chunk.wire(loud)
    assert chunk.wire(quiet) == b"", "an empty form is a form"
    assert built == ["loud", "quiet", "loud"]


def test_chunks_are_themselves() -> None:
    """Two chunks of the same bytes are two chunks: comparing them must cost nothing, and neither must showing them."""
    chunk = Chunk(RENDITION, 0, 0, 10, b"la")
    assert chunk == chunk
    assert chunk != Chunk(RENDITION, 0, 0, 10, b"la")
    chunk.wire(bytes_of)
    assert "_wires" not in repr(chunk)


def bytes_of(chunk: Chunk) -> bytes:
    return chunk.payload


def test_how_long_speech_is_taken_for() -> None:
    """By its text, and longer where it is said slowly; what is said quickly is taken for as long as ever."""

    def seconds(text: str, rate: float | None) -> float:
        return SpeechRequest("m", Mode.STREAM, SpeechInput(text, "v", rate=rate)).estimate_seconds

    assert [seconds("x" * 40, rate) for rate in (None, 1.0, 0.5, 2.0)] == [10.0, 10.0, 20.0, 10.0]
    assert seconds("x", None) == 1.0
