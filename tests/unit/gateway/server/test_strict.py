"""The protocol to the letter, without a socket: text that is none, and goodbyes in the midst of a message.

Invariant under test: the connection ends with a code at the first octet that says so, and not before; however the
network cuts, the same is told. It must not know what is done with messages.
"""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from gateway.server.strict import StrictProtocol

INVALID = b"\xce\xba\xe1\xbd\xb9\xcf\x83\xf4\x90\x80\x80edited"
# The second octet of what would be behind the last of Unicode.
TOO_FAR = INVALID.index(b"\x90") + 1


def said(opcode: Opcode, data: bytes, *, fin: bool = True) -> bytes:
    """A client's frame."""
    return Frame(opcode, data, fin=fin).serialize(mask=True)


def told(protocol: StrictProtocol) -> list[tuple[Opcode, bytes]]:
    return [(event.opcode, bytes(event.data)) for event in protocol.events_received() if isinstance(event, Frame)]


def code(protocol: StrictProtocol) -> int | None:
    """With which code the connection ends, None while it does not."""
    return protocol.close_sent.code if protocol.close_sent else None


def test_text_is_judged_octet_by_octet() -> None:
    """In the midst of a frame, whose end never comes: not an octet too early, not one too late."""
    protocol = StrictProtocol(1000)
    frame = said(Opcode.TEXT, INVALID)
    begins = len(frame) - len(INVALID)
    for octet in frame[: begins + TOO_FAR - 1]:
        protocol.receive_data(bytes([octet]))
    assert code(protocol) is None
    protocol.receive_data(frame[begins + TOO_FAR - 1 : begins + TOO_FAR])
    assert code(protocol) == 1007
    assert told(protocol) == []


def test_a_character_may_be_cut_by_a_frame_and_not_by_the_end() -> None:
    """Between two fragments lies any octet; behind the last one lies none."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(said(Opcode.TEXT, "é".encode()[:1], fin=False))
    protocol.receive_data(said(Opcode.PING, b"\xff"))
    protocol.receive_data(said(Opcode.CONT, b"", fin=False))
    protocol.receive_data(said(Opcode.CONT, "é".encode()[1:]))
    assert code(protocol) is None
    assert b"".join(data for opcode, data in told(protocol) if opcode is not Opcode.PING) == "é".encode()
    protocol.receive_data(said(Opcode.TEXT, "é".encode()[:1]))
    assert code(protocol) == 1007


def test_a_fragment_that_is_no_text_is_answered_before_the_last_one() -> None:
    """Who sends a megabyte of it need not have sent all."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(said(Opcode.TEXT, b"fine", fin=False) + said(Opcode.CONT, b"\xff", fin=False))
    assert code(protocol) == 1007


def test_octets_are_not_text() -> None:
    """A binary message is not judged, nor are its fragments, nor is what a control frame carries."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(
        said(Opcode.BINARY, b"\xff", fin=False) + said(Opcode.CONT, b"\xfe") + said(Opcode.PONG, b"\xff")
    )
    assert code(protocol) is None
    assert [data for _, data in told(protocol)] == [b"\xff", b"\xfe", b"\xff"]


def test_a_text_behind_octets_is_judged_again() -> None:
    """What was not judged before says nothing of what comes."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(said(Opcode.BINARY, b"\xff") + said(Opcode.TEXT, b"\xff"))
    assert code(protocol) == 1007


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_lengths_of_every_form(size: int) -> None:
    """Of none, one or two fields for the length."""
    protocol = StrictProtocol(None)
    protocol.receive_data(said(Opcode.TEXT, b"x" * size) + said(Opcode.TEXT, b"\xff"))
    assert [len(data) for _, data in told(protocol)] == [size]
    assert code(protocol) == 1007


def test_a_client_may_go_in_the_midst_of_a_message() -> None:
    """Its goodbye is answered as any other, and the message is forgotten."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(said(Opcode.TEXT, b"half", fin=False) + said(Opcode.CLOSE, b"\x03\xe8"))
    assert code(protocol) == 1000
    assert protocol.close_rcvd is not None


@pytest.mark.parametrize("octets", [b"", b"\x81", b"\x81\x84\0\0\0\0cut"])
def test_a_line_that_breaks_is_no_goodbye(octets: bytes) -> None:
    """Nothing at all, half a head, and a text that ends before its end."""
    protocol = StrictProtocol(1000)
    protocol.receive_data(octets)
    protocol.receive_eof()
    assert protocol.close_rcvd is None
    assert code(protocol) is None


@given(
    st.lists(st.tuples(st.binary(max_size=6) | st.text(max_size=4).map(str.encode), st.booleans()), max_size=6),
    st.integers(1, 7),
)
def test_slices_do_not_matter(pieces: list[tuple[bytes, bool]], width: int) -> None:
    """Texts of any octets in any fragments: the same is told whole and in slices, and what is told is text."""
    octets, begun = b"", False
    for data, fin in pieces:
        octets += said(Opcode.CONT if begun else Opcode.TEXT, data, fin=fin)
        begun = not fin
    whole, sliced = StrictProtocol(1000), StrictProtocol(1000)
    whole.receive_data(octets)
    for at in range(0, len(octets), width):
        sliced.receive_data(octets[at : at + width])
    heard = told(whole)
    assert (told(sliced), code(sliced)) == (heard, code(whole))
    message = b""
    for (_, fin), (_, data) in zip(pieces, heard, strict=False):
        message += data
        if fin:
            message.decode()
            message = b""
