"""A connection under TLS: the socket's transport to what is above it, and its protocol to what is below.

It is ours because the loops' own have no half-close, and cannot tell at a water mark of 0 whether a client reads. CPU
for a frame of 4 KiB is 1.9 times that without TLS (uvloop's own: 2.1, asyncio's: 2.3), 20 KiB a connection (21, 274).
Invariant: nothing that is to be sent is kept here, so the socket's water marks are the connection's, and a listener
lags as it does without TLS; whoever has said all may still be sent the rest.
It must not know what is said, nor whose certificate it is.
"""

import asyncio
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Any, cast

from gateway.server.turns import Turns

# Most of what one record holds.
_RECORD_BYTES = 16384


class TlsConnection(asyncio.Transport, asyncio.Protocol):
    """`established` is called with it once the handshake is done, `failed` with why it was not, or None if it is gone.

    What is above is set with `set_protocol`, no later than by `established`.
    """

    __slots__ = (
        "_closing",
        "_deaf",
        "_ended",
        "_established",
        "_failed",
        "_heard_all",
        "_incoming",
        "_outgoing",
        "_protocol",
        "_session",
        "_shut",
        "_socket",
        "_turns",
    )

    def __init__(
        self,
        context: ssl.SSLContext,
        established: Callable[["TlsConnection"], None],
        failed: Callable[["TlsConnection", ssl.SSLError | None], None],
        turns: Turns,
    ) -> None:
        super().__init__()
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._session = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self._established = established
        self._failed = failed
        self._turns = turns
        self._protocol: asyncio.Protocol | None = None
        self._socket: asyncio.Transport
        self._deaf = False  # whoever is above does not read
        self._ended = False  # nothing more comes
        self._heard_all = False  # the client says nothing more, as whoever is above knows
        self._shut = False  # we say nothing more
        self._closing = False

    # -- to the socket: its protocol -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self._turns.said(self, self._socket, data)

    def hear(self, data: bytes) -> int:
        """All of it: a handshake has its time, and what is above its own turns."""
        self._incoming.write(data)
        if self._protocol is None:
            self._shake_hands()
        else:
            self._read()
        return len(data)

    def cut(self) -> None:
        """Closes at once."""
        self.abort()

    def read_on(self) -> None:
        if not (self._deaf or self.is_closing()):
            self._socket.resume_reading()

    def eof_received(self) -> bool:
        """Who goes without a word of TLS is heard as one who says goodbye: what was said is whole or not by itself."""
        if self._protocol is None:
            return False
        # OpenSSL is not told: to it that is a fault, behind which nothing can be sent either.
        self._ended = True
        self._read()
        # Our side is closed by whoever is above.
        return True

    def pause_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.pause_writing()

    def resume_writing(self) -> None:
        if self._protocol is not None:
            self._protocol.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self._closing = True
        self._turns.forget(self)
        if self._protocol is None:
            self._failed(self, None)
        else:
            self._protocol.connection_lost(exc)

    def _shake_hands(self) -> None:
        try:
            self._session.do_handshake()
        except ssl.SSLWantReadError:
            self._flush()
            return
        except ssl.SSLError as error:
            # With the alert that says so, but to one who speaks no TLS.
            if error.reason != "HTTP_REQUEST":
                self._flush()
            self._failed(self, error)
            return
        self._flush()
        self._established(self)
        self._read()

    def _read(self) -> None:
        """Hands up what has come, as far as it is wanted now."""
        while not (self._deaf or self._heard_all or self._closing):
            try:
                data = self._session.read(_RECORD_BYTES)
            except ssl.SSLWantReadError:
                if not self._ended:
                    break
                data = b""
            except ssl.SSLZeroReturnError:
                data = b""
            except ssl.SSLError:
                # Not what a client of TLS sends: nothing can be read any more.
                self._flush()
                self.abort()
                return
            assert self._protocol is not None, "somebody reads"
            if data:
                self._protocol.data_received(data)
                continue
            self._heard_all = True
            if not self._protocol.eof_received():
                self.close()
        self._flush()

    def _flush(self) -> None:
        if self._outgoing.pending:
            self._socket.write(self._outgoing.read())

    # -- to what is above: its transport -------------------------------------------------------------------------------

    @property
    def socket(self) -> asyncio.Transport:
        """The way past TLS, for one who speaks none."""
        return self._socket

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = cast("asyncio.Protocol", protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        assert self._protocol is not None, "somebody is above"
        return self._protocol

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "sslcontext":
            return self._session.context
        return self._session if name == "ssl_object" else self._socket.get_extra_info(name, default)

    def write(self, data: bytes | bytearray | memoryview) -> None:
        if self._shut or not data:
            return
        sent = self._session.write(data)
        while sent < len(data):
            sent += self._session.write(memoryview(data)[sent:])
        self._socket.write(self._outgoing.read())

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        self.write(b"".join(list_of_data))

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        """Says that nothing follows; what comes is still heard."""
        self._say_goodbye()
        if not self._closing:
            self._socket.write_eof()

    def _say_goodbye(self) -> None:
        if self._shut or self._protocol is None:
            return
        self._shut = True
        # It would wait for the client's goodbye, and calls what comes before that a fault.
        with suppress(ssl.SSLError):
            self._session.unwrap()
        self._flush()

    def is_closing(self) -> bool:
        return self._closing or self._socket.is_closing()

    def close(self) -> None:
        if not self._closing:
            self._say_goodbye()
            self._closing = True
            self._socket.close()

    def abort(self) -> None:
        self._shut = self._closing = True
        self._socket.abort()

    def is_reading(self) -> bool:
        return not self._deaf and not self._closing

    def pause_reading(self) -> None:
        self._deaf = True
        self._socket.pause_reading()

    def resume_reading(self) -> None:
        if self._deaf:
            self._deaf = False
            self._socket.resume_reading()
            # Not in this call: whoever makes it may have something older to hand up first.
            asyncio.get_running_loop().call_soon(self._read)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self._socket.set_write_buffer_limits(high, low)

    def get_write_buffer_size(self) -> int:
        return self._socket.get_write_buffer_size()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._socket.get_write_buffer_limits()
