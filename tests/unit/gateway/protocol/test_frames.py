"""Tests of the binary frame and the wire forms, against bytes written by hand.

Invariant under test: the layout is the documented one to the octet, `unpack` is the inverse of `pack`, and each form of
a chunk is built once for all listeners.
"""

import base64
import json
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import RequestError
from gateway.model import Chunk, Flag, Kind, RenditionId, StreamId
from gateway.protocol import frames

RENDITION = RenditionId(StreamId("st_1"), number=0x01020304, epoch=9)
CHUNK = Chunk(
    RENDITION,
    seq=0x21222324,
    pts=0x1112131415161718,
    duration=0x31323334,
    payload=b"sound",
    flags=Flag.RANDOM_ACCESS | Flag.DISCONTINUITY | Flag.LAST,
)
# version 1, kind 1, flags 1|2|4, rendition, pts, seq, duration
HEAD = bytes.fromhex("01 01 0007 01020304 1112131415161718 21222324 31323334")
INIT = Chunk(RENDITION, 0, 0, 0, b"RIFF", Kind.INIT, Flag.NONE)
FORMS = (frames.framed, frames.raw, frames.delta, frames.chunked, frames.plain)


def test_the_layout_to_the_octet() -> None:
    """24 octets in network byte order, each field in its place, then the payload."""
    assert len(HEAD) == 24
    assert frames.pack(CHUNK) == HEAD + b"sound"


def test_an_init_frame() -> None:
    """A header chunk is of kind 2, with neither flags nor place in the sequence."""
    assert frames.pack(INIT) == bytes.fromhex("01 02 0000 01020304") + bytes(16) + b"RIFF"


@given(
    st.sampled_from(Kind),
    st.integers(0, 7).map(Flag),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**64 - 1),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2**32 - 1),
    st.binary(max_size=50),
)
def test_unpack_is_the_inverse(
    kind: Kind, flags: Flag, number: int, pts: int, seq: int, duration: int, payload: bytes
) -> None:
    """Every header that can be packed comes back field for field, at the limits of each field too."""
    chunk = Chunk(RenditionId(StreamId("st_1"), number, 0), seq, pts, duration, payload, kind, flags)
    header = frames.Header(kind, flags, number, pts, seq, duration)
    assert frames.unpack(frames.pack(chunk)) == (header, payload)


@pytest.mark.parametrize(
    "message",
    [
        b"",
        HEAD[:23],
        b"\x02" + HEAD[1:],
        b"\x00" + HEAD[1:],
        HEAD[:1] + b"\x00" + HEAD[2:],
        HEAD[:1] + b"\x03" + HEAD[2:],
    ],
    ids=["empty", "short", "version 2", "version 0", "kind 0", "kind 3"],
)
def test_what_is_no_frame(message: bytes) -> None:
    """Too few octets, another version and another kind are refused as a broken protocol."""
    with pytest.raises(RequestError) as refusal:
        frames.unpack(message)
    assert refusal.value.code == "bad_protocol"


def test_flags_of_a_later_version_are_kept() -> None:
    """A bit that has no name here is no reason to refuse a frame."""
    header, payload = frames.unpack(HEAD[:2] + b"\x80\x01" + HEAD[4:])
    assert Flag.RANDOM_ACCESS in header.flags
    assert (int(header.flags), payload) == (0x8001, b"")


@pytest.mark.parametrize(
    ("size", "head"),
    [(0, "8100"), (125, "817d"), (126, "817e 007e"), (65535, "817e ffff"), (65536, "817f 0000000000010000")],
)
def test_a_text_message_on_the_wire(size: int, head: str) -> None:
    """One final, unmasked text frame with the shortest length that fits."""
    assert frames.text_message(bytes(size)) == bytes.fromhex(head) + bytes(size)


def test_the_forms_of_a_chunk() -> None:
    """Binary messages with and without our header, a block of a chunked body, the payload alone."""
    assert frames.framed(CHUNK) == bytes.fromhex("821d") + HEAD + b"sound"
    assert frames.raw(CHUNK) == bytes.fromhex("8205") + b"sound"
    assert frames.chunked(Chunk(RENDITION, 0, 0, 0, bytes(26))) == b"1a\r\n" + bytes(26) + b"\r\n"
    assert frames.plain(CHUNK) is CHUNK.payload


@pytest.mark.parametrize(("chunk", "kind"), [(CHUNK, "audio"), (INIT, "init")])
def test_the_json_form(chunk: Chunk, kind: str) -> None:
    """The header's fields by name, the epoch beside them, and the payload in base64."""
    wire = frames.delta(chunk)
    message = json.loads(wire[wire.index(b"{") :])
    assert base64.b64decode(message.pop("data")) == chunk.payload
    assert message == {
        "type": "audio.delta",
        "stream_id": "st_1",
        "rendition": 0x01020304,
        "kind": kind,
        "epoch": 9,
        "seq": chunk.seq,
        "pts": chunk.pts,
        "duration": chunk.duration,
        "flags": int(chunk.flags),
    }


@pytest.mark.parametrize("build", FORMS)
def test_each_form_is_built_once(build: Callable[[Chunk], bytes]) -> None:
    """Every listener of a form is given the same object."""
    chunk = Chunk(RENDITION, 1, 2, 3, b"sound")
    assert chunk.wire(build) is chunk.wire(build)
    assert chunk.wire(build) == build(chunk)
