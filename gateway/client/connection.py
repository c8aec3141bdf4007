"""One WebSocket to the gateway: opened with credentials, greeted, typed messages both ways.

Invariant: everything that can go wrong with it leaves as an `Ending`; foreign exceptions stop at this border. Nothing
is buffered beyond a few frames: when nobody receives, the socket is not read, and the gateway keeps the place.
It must not know songs, positions or when to come back.
"""

import asyncio
import base64
import logging
import ssl
from collections.abc import Awaitable
from typing import Any

from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import (
    ConnectionClosed,
    InvalidHandshake,
    InvalidMessage,
    InvalidStatus,
    WebSocketException,
)
from websockets.typing import Subprotocol

from gateway import __version__
from gateway.client.address import is_loopback
from gateway.client.ending import ABNORMAL, Ending
from gateway.client.wire import Frame, ServerMessage, Unreadable, decode
from gateway.protocol.events import Error, SessionCreated, encode

SUBPROTOCOL = Subprotocol("wavegate.v1")

OPEN_SECONDS = 10.0
GREETING_SECONDS = 10.0
SEND_SECONDS = 10.0
# Longest silence before the gateway is asked whether it is there, and longest wait for its answer.
SILENCE_SECONDS = 20.0
# A close whose answer lies behind audio that nobody reads any more is not waited for longer than this.
CLOSE_SECONDS = 1.0


class _Discreet(logging.LoggerAdapter[logging.Logger]):
    """`websockets` writes request headers at debug level, and the key is one of them: that level stays shut."""

    def isEnabledFor(self, level: int) -> bool:  # noqa: N802 - logging's own name
        return level > logging.DEBUG and super().isEnabledFor(level)


class _Straight(connect):
    """Follows no redirect: a ticket would go along, to wherever it leads, and in the clear where it began so."""

    def process_redirect(self, exc: Exception) -> Exception | str:
        return exc


class Connection:
    """Made by `open_connection`. One reader at a time."""

    def __init__(self, socket: ClientConnection, url: str, silence: float = SILENCE_SECONDS) -> None:
        self._socket = socket
        self._url = url
        self._silence = silence
        self._pong: Awaitable[float] | None = None
        self._dead = False

    async def say(self, message: Any) -> None:
        """Sends a control message (a struct of gateway.protocol.messages). Raises Ending."""
        try:
            async with asyncio.timeout(SEND_SECONDS):
                await self._socket.send(encode(message), text=True)
        except ConnectionClosed as closed:
            raise _ending(closed) from None
        except TimeoutError:
            raise Ending(ABNORMAL, message=f"{self._url} does not take our messages.") from None

    async def receive(self) -> ServerMessage | Frame:
        """The next message that is known here, however long the gateway is silent while it is alive.

        Raises Ending. Cancelling it loses nothing.
        """
        while True:
            try:
                async with asyncio.timeout(self._silence):
                    data = await self._socket.recv()
                self._pong = None
                message = decode(data)
            except TimeoutError:
                await self._ask()
                continue
            except ConnectionClosed as closed:
                raise _ending(closed) from None
            except Unreadable as unreadable:
                raise Ending(1002, message=str(unreadable)) from None
            if message is not None:
                return message

    async def close(self) -> None:
        """Says goodbye, but not to the dead; does nothing to a connection that is closed. Never raises an Ending."""
        if self._dead:
            self._socket.transport.abort()
        try:
            await self._socket.close()
        finally:
            self._socket.transport.abort()

    async def _ask(self) -> None:
        """Pings after a silence. The library's own keepalive would declare a gateway dead that nobody listens to."""
        if isinstance(self._pong, asyncio.Future) and not self._pong.done():
            self._dead = True
            raise Ending(ABNORMAL, message=f"{self._url} has not answered for {2 * self._silence:.0f} s.")
        try:
            async with asyncio.timeout(SEND_SECONDS):
                self._pong = await self._socket.ping()
        except (ConnectionClosed, TimeoutError):
            return  # the next read says what happened


async def open_connection(
    url: str, *, key: str | None, ticket: str | None, silence: float = SILENCE_SECONDS
) -> Connection:
    """Connects to the door at `url` and waits for `session.created`. Raises Ending."""
    subprotocols = [SUBPROTOCOL]
    if key is None and ticket is not None:
        encoded = base64.urlsafe_b64encode(ticket.encode()).decode().rstrip("=")
        subprotocols.append(Subprotocol(f"wavegate.ticket.{encoded}"))
    try:
        socket = await _Straight(
            url,
            subprotocols=subprotocols,
            compression=None,
            additional_headers=None if key is None else {"Authorization": f"Bearer {key}"},
            user_agent_header=f"wavegate-python/{__version__}",
            proxy=None if is_loopback(url) else True,
            open_timeout=OPEN_SECONDS,
            close_timeout=CLOSE_SECONDS,
            ping_interval=None,
            logger=_Discreet(logging.getLogger("wavegate.client.websocket")),
        )
    except (OSError, WebSocketException, ImportError) as error:  # ImportError: a SOCKS proxy needs a package
        raise _not_opened(url, error) from error
    connection = Connection(socket, url, silence)
    try:
        await _greeting(connection, socket, url)
    except BaseException:
        await connection.close()
        raise
    return connection


async def _greeting(connection: Connection, socket: ClientConnection, url: str) -> None:
    if socket.subprotocol != SUBPROTOCOL:
        raise Ending(4010, message=f"What answers at {url} does not speak {SUBPROTOCOL}.")
    try:
        async with asyncio.timeout(GREETING_SECONDS):
            message = await connection.receive()
    except TimeoutError:
        raise Ending(ABNORMAL, "no_answer", f"{url} opened a connection and said nothing.") from None
    if isinstance(message, Error):
        raise Ending.of_body(message.error)
    if not isinstance(message, SessionCreated):
        raise Ending(4010, message=f"What answers at {url} did not begin with session.created.")


def _ending(closed: ConnectionClosed) -> Ending:
    """The gateway's close frame; else ours (what it sent could not be taken); else the connection just went."""
    frame = closed.rcvd or closed.sent
    return Ending(ABNORMAL) if frame is None else Ending.of_close(frame.code, frame.reason)


def _not_opened(url: str, error: Exception) -> Ending:
    """Why there is no connection, in a sentence that names the address."""
    if isinstance(error, InvalidStatus):
        answer = error.response
        return Ending.of_refusal(url, answer.status_code, bytes(answer.body or b""), answer.headers.get("Retry-After"))
    if isinstance(error, ssl.SSLCertVerificationError):
        return Ending(1008, "unreachable", f"The certificate of {url} is not trusted: {error.verify_message}.")
    if isinstance(error, InvalidHandshake) and not isinstance(error, InvalidMessage):
        return Ending(4010, message=f"What answers at {url} is not a Wavegate: {error}.")
    if isinstance(error, TimeoutError):
        why = f"no answer within {OPEN_SECONDS:.0f} s"
    elif isinstance(error, ConnectionRefusedError):
        why = "the connection was refused"
    elif isinstance(error, InvalidMessage):
        why = "the connection was closed in the handshake"
    else:
        why = getattr(error, "strerror", None) or str(error)
    return Ending(ABNORMAL, "unreachable", f"The gateway at {url} cannot be reached: {why}.")
