"""One WebSocket connection: bytes to messages and back, on a socket taken over from the HTTP server.

`websockets` speaks the protocol without I/O; this class owns the socket, answers pings, bounds messages and closes with
a code. Invariant: after the closing handshake has begun nothing more is written; every close is counted once.
It must not know what the messages mean: that is the session's.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any, Protocol

from websockets.frames import Close, CloseCode, Frame, Opcode
from websockets.protocol import State
from websockets.server import ServerProtocol

from gateway.protocol.events import encode
from gateway.protocol.frames import PING, text_message
from gateway.relay.departure import LOST
from gateway.server.pace import Pace, Rate
from gateway.server.transport import NOWHERE, SocketTransport
from metrics.recorder import Recorder

# How long a client has to answer our close before the socket is cut.
CLOSE_SECONDS = 5.0
# What is read before somebody looks how much it was: 256 KiB of empty pings would be 43,000 frames in one go.
SLICE_BYTES = 1024
# Frames may come for so long faster than they should.
BURST_SECONDS = 10.0


class Conversation(Protocol):
    """What the connection tells its session."""

    def received(self, text: bytes) -> None:
        """A whole text message."""
        ...

    def received_binary(self, data: bytes) -> None:
        """A whole binary message, which no client has a reason to send."""
        ...

    def too_fast(self, wait: float) -> None:
        """Frames come faster than they may; in so many seconds one more might."""
        ...

    def closed(self, code: int) -> None:
        """The connection is gone."""
        ...


class WebSocketConnection(SocketTransport):
    """The socket of one client, which may send frames at this rate. `protocol` has seen the handshake already."""

    __slots__ = (
        "_begun",
        "_cutter",
        "_deaf",
        "_open",
        "_pace",
        "_protocol",
        "_rate",
        "_recorder",
        "_text",
        "asked_at",
        "conversation",
        "spoke_at",
    )

    def __init__(
        self, protocol: ServerProtocol, recorder: Recorder, now: Callable[[], float], rate: Rate | None = None
    ) -> None:
        super().__init__(now)
        self.conversation: Conversation | None = None
        self.asked_at: float | None = None
        # When it last said something of its own accord.
        self.spoke_at = now()
        self._rate = rate or Rate(0, 1)
        self._pace = Pace()
        self._protocol = protocol
        self._recorder = recorder
        # The fragments so far of a message: an empty one leaves nothing behind.
        self._begun = bytearray()
        self._text = True
        self._open = True
        self._deaf = False
        self._cutter: asyncio.TimerHandle | None = None

    # -- asyncio's callbacks ---------------------------------------------------------------------------------------

    def pause_writing(self) -> None:
        """A client that does not read is not listened to either, else our answers to it would pile up."""
        super().pause_writing()
        self.sink.pause_reading()

    def resume_writing(self) -> None:
        self.sink.resume_reading()
        if self._open:
            super().resume_writing()
        else:
            self.stalled_since = None

    def data_received(self, data: bytes) -> None:
        self.asked_at = None
        super().data_received(data)

    def hear(self, data: bytes) -> int:
        for at in range(0, len(data), SLICE_BYTES):
            if self._deaf:
                break
            if at and self.turns is not None and self.turns.over:
                return at
            self._protocol.receive_data(data[at : at + SLICE_BYTES])
            if self._protocol.state is State.OPEN:
                # A pong goes before the answer to what ended behind its ping; a goodbye goes last.
                self._flush()
            for event in self._protocol.events_received():
                if isinstance(event, Frame):
                    self._frame(event)
            self._flush()
        return len(data)

    def read_on(self) -> None:
        if self.stalled_since is None:
            super().read_on()

    def eof_received(self) -> bool:
        self._protocol.receive_eof()
        self._flush()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._open = False
        self._protocol.receive_eof()
        if self._protocol.parser_exc is not None:
            # It has it for good, and its frames refer to it.
            self._protocol.parser_exc.__traceback__ = None
        if self._cutter is not None:
            self._cutter.cancel()
        said = self._said()
        code = said.code if said is not None else CloseCode.ABNORMAL_CLOSURE
        self._recorder.websocket_closed(code)
        if said is None:
            self.parting = LOST
        conversation, self.conversation = self.conversation, None
        if conversation is not None:
            conversation.closed(code)

    # -- for the session -------------------------------------------------------------------------------------------

    @property
    def goodbye(self) -> str:
        """The reason that went with the close."""
        said = self._said()
        return said.reason if said is not None else ""

    def _said(self) -> Close | None:
        # Ours, also when the client never answered it; an answer to the client's carries the client's code.
        return self._protocol.close_sent or self._protocol.close_rcvd

    def say(self, message: Any) -> None:
        """Sends a control message."""
        self.write(text_message(encode(message)))

    def write(self, data: bytes) -> None:
        if self._open:
            self.sink.write(data)

    def writelines(self, frames: list[bytes]) -> None:
        """Sends ready-made frames in one go."""
        if self._open:
            self.sink.writelines(frames)

    def ping(self) -> None:
        """Asks whether somebody is there."""
        if self.writable:
            self.asked_at = self.asked_at or self._now()
            self.sink.write(PING)

    def close(self, code: int, reason: str) -> None:
        """Begins the closing handshake; the socket is cut if the client does not answer in time."""
        if self._open:
            self._protocol.send_close(code, reason)
            self._flush()

    # -- inside ----------------------------------------------------------------------------------------------------

    def _frame(self, frame: Frame) -> None:
        if not self._open and frame.opcode is not Opcode.CLOSE:
            # Whatever comes behind our goodbye is not even counted.
            return
        if (wait := self._pace.take(self._rate, self._now())) and self.conversation is not None:
            # Nothing it says is looked at any more, not even its goodbye: the cutter ends it.
            self._deaf = True
            self._recorder.refused("frames")
            self.conversation.too_fast(wait)
            return
        if frame.opcode is Opcode.PONG or frame.opcode is Opcode.PING or frame.opcode is Opcode.CLOSE:
            return
        self.spoke_at = self._now()
        if frame.opcode is not Opcode.CONT:
            self._text = frame.opcode is Opcode.TEXT
        if not frame.fin or self._begun:
            self._begun += frame.data
        if not frame.fin:
            return
        data = bytes(self._begun or frame.data)
        self._begun.clear()
        if self.conversation is None or not self._open:
            return
        if self._text:
            self.conversation.received(data)
        else:
            self.conversation.received_binary(data)

    def _flush(self) -> None:
        """Writes what the protocol has to say; an empty piece says that nothing follows."""
        over = self._protocol.state is not State.OPEN
        if over:
            # Before the socket is touched: what it says of that changes nothing about it.
            self._open = self.writable = False
        for data in self._protocol.data_to_send():
            if data:
                self.sink.write(data)
            elif self.sink.can_write_eof():
                # Closing with the client's bytes unread would reset the connection, and our close frame with it. Of one
                # that was reset already asyncio raises, before it tells of the loss.
                with suppress(OSError):
                    self.sink.write_eof()
        if not over:
            return
        if self._protocol.state is State.CLOSED or self._protocol.close_rcvd is not None:
            self.sink.close()
        if self._cutter is None and self.sink is not NOWHERE:
            self._cutter = asyncio.get_running_loop().call_later(CLOSE_SECONDS, self.cut)
