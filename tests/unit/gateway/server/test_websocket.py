"""One WebSocket connection against a browser without a socket: messages in, frames out, and both ways to close.

Invariant under test: after the closing handshake has begun nothing more is written, and every close is counted once.
It must not know what messages mean.
"""

import asyncio
import tracemalloc

import pytest
from websockets.frames import Frame, Opcode

from gateway.protocol.events import Pong
from gateway.protocol.frames import text_message
from gateway.server import websocket
from gateway.server.transport import NOWHERE
from tests.support.server import Line, Wire, new_line


class Heard:
    """A conversation that keeps what it is told."""

    def __init__(self) -> None:
        self.texts: list[bytes] = []
        self.binaries = 0
        self.closes: list[int] = []

    def too_fast(self, wait: float) -> None:
        raise AssertionError("without a rate nothing is")

    def received(self, text: bytes) -> None:
        self.texts.append(text)

    def received_binary(self, data: bytes) -> None:
        del data
        self.binaries += 1

    def closed(self, code: int) -> None:
        self.closes.append(code)


def conversing(**options: int) -> tuple[Line, Heard]:
    line, heard = new_line(**options), Heard()
    line.connection.conversation = heard
    return line, heard


# -- messages --------------------------------------------------------------------------------------------------------


async def test_messages_are_handed_over_whole() -> None:
    """Text comes as its bytes, in order; of a binary message only the fact is told."""
    line, heard = conversing()
    line.browser.send_text(b"one")
    line.browser.send_binary(b"\x00")
    line.browser.send_text("zwölf".encode())
    line.deliver()
    assert heard.texts == [b"one", "zwölf".encode()]
    assert heard.binaries == 1


async def test_octets_may_come_one_by_one() -> None:
    """How the network cuts a message has no influence on it."""
    line, heard = conversing()
    line.browser.send_text(b"octets")
    for octet in b"".join(line.browser.data_to_send()):
        line.connection.data_received(bytes([octet]))
    assert heard.texts == [b"octets"]


async def test_fragments_are_one_message_with_a_ping_in_between() -> None:
    """A fragmented message is told once, when it is whole; a ping between its fragments is answered at once."""
    line, heard = conversing()
    line.browser.send_text(b"frag", fin=False)
    line.browser.send_ping(b"?")
    line.browser.send_continuation(b"men", fin=False)
    line.deliver()
    assert heard.texts == []
    assert [(frame.opcode, bytes(frame.data)) for frame in line.heard()] == [(Opcode.PONG, b"?")]
    line.browser.send_continuation(b"ted", fin=True)
    line.deliver()
    assert heard.texts == [b"fragmented"]


async def test_a_fragmented_binary_message_stays_binary() -> None:
    """The kind of a message is that of its first fragment."""
    line, heard = conversing()
    line.browser.send_binary(b"a", fin=False)
    line.browser.send_continuation(b"b", fin=True)
    line.browser.send_text(b"then text")
    line.deliver()
    assert (heard.binaries, heard.texts) == (1, [b"then text"])


async def test_a_pong_goes_before_the_answer_to_what_ended_behind_its_ping() -> None:
    """In one slice: the message is whole behind the ping, and its answer is said behind the pong."""
    line, heard = conversing()
    line.browser.send_text(b"frag", fin=False)
    line.browser.send_ping(b"?")
    line.browser.send_continuation(b"ment", fin=True)
    answer = heard.received

    def received(text: bytes) -> None:
        answer(text)
        line.connection.write(text_message(text))

    heard.received = received  # type: ignore[method-assign]  # one that answers
    line.deliver()
    assert [(frame.opcode, bytes(frame.data)) for frame in line.heard()] == [
        (Opcode.PONG, b"?"),
        (Opcode.TEXT, b"fragment"),
    ]


async def test_a_message_is_answered_before_the_goodbye_behind_it() -> None:
    """In one slice: a message and a close; the message is told, and nothing is said behind our goodbye."""
    line, heard = conversing()
    line.browser.send_text(b"last words")
    line.browser.send_close(1000)
    line.deliver()
    assert heard.texts == [b"last words"]
    assert [frame.opcode for frame in line.heard()] == [Opcode.CLOSE]
    assert line.wire.ended


async def test_empty_fragments_leave_nothing_behind() -> None:
    """However many there are: who sends them for hours takes no memory."""
    line, heard = conversing()
    empty = Frame(Opcode.CONT, b"", fin=False).serialize(mask=True)
    line.connection.data_received(Frame(Opcode.TEXT, b"", fin=False).serialize(mask=True))
    tracemalloc.start()
    try:
        for _ in range(20):
            line.connection.data_received(empty * 500)
        before, _ = tracemalloc.get_traced_memory()
        for _ in range(20):
            line.connection.data_received(empty * 500)
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert after - before < 20_000
    line.connection.data_received(Frame(Opcode.CONT, b"end").serialize(mask=True))
    assert heard.texts == [b"end"]


OFFENCES = [
    (Frame(Opcode.TEXT, b"{}").serialize(mask=False), 1002),
    (Frame(Opcode.TEXT, b"x" * 11).serialize(mask=True), 1009),
    (
        Frame(Opcode.TEXT, b"x" * 6, fin=False).serialize(mask=True)
        + Frame(Opcode.CONT, b"x" * 6).serialize(mask=True),
        1009,
    ),
]


@pytest.mark.parametrize(("octets", "code"), OFFENCES, ids=["unmasked", "too big", "too big in parts"])
async def test_an_offence_against_the_protocol_closes_at_once(octets: bytes, code: int) -> None:
    """An unmasked frame, a message too big, whole or in parts: told to nobody, closed with its code, counted so."""
    line, heard = conversing(max_size=10)
    line.connection.data_received(octets)
    assert line.wire.ended, "nothing follows the close frame, so the client need not wait for the cutter"
    line.heard()
    assert line.browser.close_rcvd is not None
    assert line.browser.close_rcvd.code == code
    line.deliver()
    assert heard.texts == []
    line.connection.connection_lost(None)
    assert line.closes() == {str(code): 1.0}


async def test_a_message_without_a_conversation_is_dropped() -> None:
    """A connection that nobody converses on yet takes a message without harm."""
    line = new_line()
    line.browser.send_text(b"early")
    line.deliver()
    assert line.wire.written == b""


# -- signs of life ---------------------------------------------------------------------------------------------------


async def test_pings_are_answered_and_everything_counts_as_life() -> None:
    """A ping gets its payload back; a message, a ping and a pong all answer the question whether somebody is there."""
    line, _ = conversing()
    answers: list[tuple[Opcode, bytes]] = []
    for number, speak in enumerate((line.browser.send_ping, line.browser.send_pong, line.browser.send_text)):
        line.connection.ping()
        line.heard()
        assert line.connection.asked_at == line.clock.at
        speak(b"%d" % number)
        line.deliver()
        assert line.connection.asked_at is None
        answers += [(frame.opcode, bytes(frame.data)) for frame in line.heard()]
    assert answers == [(Opcode.PONG, b"0")]


async def test_our_ping_is_answered_by_the_client() -> None:
    """A ping goes out as a frame, and the pong that comes back is nobody's message."""
    line, heard = conversing()
    line.connection.ping()
    assert [frame.opcode for frame in line.heard()] == [Opcode.PING]
    line.deliver()
    assert (heard.texts, heard.binaries) == ([], 0)


async def test_a_stalled_connection_is_neither_pinged_nor_read() -> None:
    """From the high-water mark on no ping piles up and no request is read; both come back with the room."""
    line, _ = conversing()
    line.connection.pause_writing()
    line.connection.ping()
    assert (line.wire.reading, line.connection.writable, line.wire.written) == (False, False, b"")
    line.connection.resume_writing()
    line.connection.ping()
    assert (line.wire.reading, line.connection.writable) == (True, True)
    assert [frame.opcode for frame in line.heard()] == [Opcode.PING]


async def test_water_marks_after_the_loss_do_nothing() -> None:
    """A late callback finds no socket and says nothing."""
    line, _ = conversing()
    line.connection.connection_lost(None)
    line.connection.pause_writing()
    line.connection.resume_writing()
    assert line.wire.reading


# -- what the session writes -----------------------------------------------------------------------------------------


async def test_ready_made_frames_are_written_as_they_are() -> None:
    """Bytes that were built once go out unchanged, several of them in one batch."""
    line, _ = conversing()
    first, second = text_message(b'"a"'), text_message(b'"b"')
    line.connection.write(first)
    line.connection.writelines([first, second])
    line.connection.say(Pong(1, 2.0))
    assert bytes(line.wire.written).startswith(first + first + second)
    assert line.wire.batches == [1, 2, 1]
    assert bytes(line.heard()[-1].data) == b'{"type":"pong","t":1,"server_time":2.0}'


async def test_nothing_is_written_behind_our_close() -> None:
    """Behind the close frame there is silence: no message, no frame, no ping, no second close."""
    line, heard = conversing()
    line.connection.close(4102, "too_slow")
    for frame in line.heard():
        assert frame.opcode is Opcode.CLOSE
    before = bytes(line.wire.written)
    line.connection.say(Pong(1, 2.0))
    line.connection.write(b"frame")
    line.connection.writelines([b"frame"])
    line.connection.ping()
    line.connection.close(1011, "internal")
    assert line.wire.written == before
    assert not line.connection.writable
    assert line.browser.close_rcvd is not None
    assert (line.browser.close_rcvd.code, line.browser.close_rcvd.reason) == (4102, "too_slow")
    line.browser.send_ping(b"?")
    line.deliver()
    assert line.wire.closing, "the answer to our close ends the connection"
    assert heard.texts == []
    line.connection.connection_lost(None)


# -- closing ---------------------------------------------------------------------------------------------------------


async def test_a_client_that_closes_is_answered_and_counted_once() -> None:
    """Its close is echoed, the socket closes behind it, the session hears the code, and what follows is not told."""
    line, heard = conversing()
    line.browser.send_close(4999, "bye")
    goodbye = b"".join(line.browser.data_to_send())
    line.connection.data_received(goodbye + Frame(Opcode.TEXT, b"late").serialize(mask=True))
    assert line.wire.closing
    assert not line.wire.aborted.is_set()
    assert [frame.opcode for frame in line.heard()] == [Opcode.CLOSE]
    assert heard.closes == []
    line.connection.connection_lost(None)
    assert heard.closes == [4999]
    assert heard.texts == []
    assert line.closes() == {"other": 1.0}


@pytest.mark.parametrize(("code", "label"), [(1000, "1000"), (1001, "1001"), (4201, "4201")])
async def test_closes_are_counted_by_code(code: int, label: str) -> None:
    """Registered codes and ours each have their own count."""
    line, _ = conversing()
    line.browser.send_close(code, "")
    line.deliver()
    line.connection.connection_lost(None)
    assert line.closes() == {label: 1.0}


async def test_our_close_ends_with_the_clients_answer() -> None:
    """The socket closes when the client has answered, and the close is counted with our code."""
    line, heard = conversing()
    line.connection.close(1012, "going_away;retry_after_ms=700")
    assert not line.wire.closing
    line.heard()
    line.deliver()
    assert line.wire.closing
    assert not line.wire.aborted.is_set()
    line.connection.connection_lost(None)
    assert heard.closes == [1012]
    assert line.closes() == {"1012": 1.0}


async def test_a_client_that_never_answers_our_close_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """The closing handshake has its time; then the socket is cut."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.01)
    line, _ = conversing()
    line.connection.close(4100, "concurrency_exceeded")
    assert not line.wire.aborted.is_set()
    async with asyncio.timeout(10):
        await line.wire.aborted.wait()
    line.connection.connection_lost(None)


async def test_a_client_that_holds_its_side_open_is_cut(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that closes but takes nothing more does not keep the socket: that wait is bounded as well."""
    monkeypatch.setattr(websocket, "CLOSE_SECONDS", 0.01)
    line, _ = conversing()
    line.browser.send_close(1000, "")
    line.deliver()
    assert line.wire.closing
    async with asyncio.timeout(10):
        await line.wire.aborted.wait()
    line.connection.connection_lost(None)


async def test_the_cutter_goes_with_the_connection() -> None:
    """A connection that closed in order leaves no timer behind."""
    line, _ = conversing()
    line.connection.close(1000, "")
    line.connection.connection_lost(None)
    assert line.connection._cutter is not None
    assert line.connection._cutter.cancelled()


async def test_what_a_client_says_behind_our_close_is_not_told() -> None:
    """A session that has ended carries nothing more out, though the client had not seen the close when it spoke."""
    line, heard = conversing()
    line.connection.close(4001, "bad_credentials")
    line.connection.data_received(Frame(Opcode.TEXT, b"late").serialize(mask=True))
    assert heard.texts == []
    line.connection.connection_lost(None)


async def test_the_end_of_the_input_closes_without_a_word() -> None:
    """A client that drops its side has gone: the loop closes the socket, the code is 1006, our close does nothing."""
    line, heard = conversing()
    assert line.connection.eof_received() is False
    assert line.wire.ended
    line.connection.close(1011, "internal")
    line.connection.say(Pong(1, 2.0))
    line.connection.connection_lost(None)
    line.connection.close(1011, "internal")
    assert heard.closes == [1006]
    assert line.closes() == {"1006": 1.0}
    assert line.wire.written == b""


async def test_a_socket_that_breaks_is_1006() -> None:
    """A connection that is lost without a word is counted as abnormal, with or without a session."""
    line, heard = conversing()
    line.connection.connection_lost(ConnectionResetError())
    assert heard.closes == [1006]
    assert line.connection.conversation is None
    silent = new_line()
    silent.connection.connection_lost(None)
    assert silent.closes() == {"1006": 1.0}


async def test_octets_behind_the_loss_disturb_nobody() -> None:
    """What the loop still hands over while a socket goes is read and answered to nobody."""
    line, heard = conversing()
    line.browser.send_ping(b"?")
    late = b"".join(line.browser.data_to_send())
    line.connection.sink = NOWHERE
    line.connection.data_received(late)
    assert (line.wire.written, heard.texts) == (b"", [])


async def test_a_socket_that_is_gone_when_we_say_that_nothing_follows() -> None:
    """asyncio raises of one that was reset, before it tells of the loss: it is over all the same, and stays so."""

    class Reset(Wire):
        def write_eof(self) -> None:
            self.ended = True
            raise OSError("Transport endpoint is not connected")

    line = new_line()
    line.connection.connection_made(Reset())
    line.browser.send_close(1000)
    line.connection.data_received(b"".join(line.browser.data_to_send()))
    line.connection.close(1012, "going_away")
    line.connection.say({"type": "pong"})
    line.connection.connection_lost(ConnectionResetError())
