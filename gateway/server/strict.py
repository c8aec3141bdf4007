"""The WebSocket protocol to the letter: what `websockets` leaves to its callers, and where it differs from RFC 6455.

Text that is no UTF-8 fails the connection with 1007, at the first octet that makes it so, also in the midst of a frame
(section 8.1); a client may say goodbye between the fragments of a message, which is then forgotten (section 5.5.1).
Invariant: whatever a client sends is a frame that was told, or the end of the connection with a code; no octet of text
is looked at twice. Source: the cases of the Autobahn testsuite, which has no other wishes.
It must not know sockets, nor what messages mean.
"""

import codecs
from collections.abc import Generator

from websockets.frames import Frame, Opcode, apply_mask  # type: ignore[attr-defined]  # the fast one, where it is built
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.streams import StreamReader

_MASK_BYTES = 4
# From here on the length of a frame stands in a field of its own.
_LONG = 126


class StrictProtocol(ServerProtocol):
    """The server's side of a connection behind its opening handshake. `max_size` is the bytes of a message."""

    def __init__(self, max_size: int | None) -> None:
        super().__init__(state=State.OPEN, max_size=max_size)
        self.reader = _TextReader()
        # The base has begun to read with its own.
        self.parser = self.parse()
        next(self.parser)

    def recv_frame(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            self.current_size = None
        super().recv_frame(frame)


class _TextReader(StreamReader):
    """Hands out octets as its base does, and reads along: a frame is asked for in the order of its fields.

    Raises UnicodeDecodeError, which the protocol takes for the end of the connection.
    """

    def __init__(self) -> None:
        super().__init__()
        self._at = "head"
        self._fin = self._is_text = False
        self._mask = b""
        # Of the text message that has begun.
        self._decoder: codecs.IncrementalDecoder | None = None

    def at_eof(self) -> Generator[None, None, bool]:
        # Asked before each frame.
        self._at = "head"
        return super().at_eof()

    def read_exact(self, n: int) -> Generator[None, None, bytearray]:
        if self._at == "payload" and self._is_text:
            yield from self._read_along(n)
        data = yield from super().read_exact(n)
        if self._at == "head":
            self._head(data[0])
            self._at = "length" if data[1] & 0x7F >= _LONG else "mask"
        elif self._at == "length":
            self._at = "mask"
        elif self._at == "mask":
            self._at = "payload"
            self._mask = bytes(data)
        return data

    def _head(self, octet: int) -> None:
        opcode = octet & 0x0F
        self._fin = octet >= 0x80
        if opcode == Opcode.TEXT:
            self._decoder = codecs.getincrementaldecoder("utf-8")()
        elif opcode == Opcode.BINARY:
            self._decoder = None
        self._is_text = opcode <= Opcode.TEXT and self._decoder is not None

    def _read_along(self, n: int) -> Generator[None, None, None]:
        """Until the whole payload is there, or cannot be text."""
        assert self._decoder is not None, "a text message has begun"
        read = 0
        while True:
            piece = self.buffer[read:n]
            turn = read % _MASK_BYTES
            self._decoder.decode(apply_mask(piece, self._mask[turn:] + self._mask[:turn]))
            read += len(piece)
            if read == n:
                break
            if self.eof:
                # Its base says so.
                return
            yield
        if self._fin:
            self._decoder.decode(b"", final=True)
            self._decoder = None
