"""Connections that are still the HTTP server's: how many there are, and which have not said yet what they want.

Invariant: no timer per connection; those that have not made a whole request yet stand in the order in which they came,
and one that has not in time is cut. A connection that is taken over or gone is no caller any more.
It must not know what is asked for.
"""

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp import web

from gateway.log import event
from gateway.server.claim import Claim
from gateway.server.malformed import unreadable
from gateway.server.parser import MOST_HEADERS, BoundedParser
from gateway.server.proxyheader import Source
from gateway.server.turns import Turns
from metrics.recorder import Recorder

logger = logging.getLogger("wavegate.callers")

# How long a kept-alive connection may wait for the next request and the whole of its head. Proxies keep theirs for
# 60 s: closing first, we would now and then close on a request that is on its way.
KEEP_ALIVE_SECONDS = 75.0
# How long the rest of a refused body is still read, so that the answer is not lost in a reset connection.
LINGER_SECONDS = 2.0
# Of what a client may have said unheard: the rest of one read, beside a message and a head.
_SPARE_BYTES = 65536


class Slow(Protocol):
    """Who takes its time."""

    def cut(self) -> None:
        """Closes at once."""
        ...


class Callers:
    """The registry. `seconds` is the time that a connection has until the head of its first request is whole.

    `address` and `head` are the most bytes of a request's address, and of all before its body; `message` of a body.
    """

    def __init__(
        self,
        seconds: float,
        recorder: Recorder,
        now: Callable[[], float],
        address: int = 8190,
        head: int = 16384,
        message: int = 65536,
    ) -> None:
        self.seconds = seconds
        self.address = address
        self.head = head
        self.turns = Turns(head + message + _SPARE_BYTES, self._too_much)
        self._recorder = recorder
        self._now = now
        self._all: set[Caller] = set()
        self._silent: dict[Caller, float] = {}

    def __len__(self) -> int:
        return len(self._all)

    @property
    def silent(self) -> int:
        """How many have made no request yet."""
        return len(self._silent)

    @property
    def busy(self) -> bool:
        """Whether a request is being answered."""
        return any(caller.answering for caller in self._all)

    def came(self, caller: "Caller") -> None:
        self._all.add(caller)
        self._silent[caller] = self._now()

    def spoke(self, caller: "Caller") -> None:
        self._silent.pop(caller, None)

    def left(self, caller: "Caller") -> None:
        self._all.discard(caller)
        self._silent.pop(caller, None)

    def sweep(self) -> None:
        """Cuts those whose time is over."""
        now = self._now()
        while self._silent:
            caller, since = next(iter(self._silent.items()))
            if since > now - self.seconds:
                break
            del self._silent[caller]
            self.late(caller)

    def _too_much(self, one: Slow) -> None:
        """It has said more than anybody needs to at once, while others were to be heard."""
        self._recorder.refused("talk")
        event(logger, "client.too_much")
        one.cut()

    def late(self, one: Slow) -> None:
        """It has not said in time what it wants."""
        self._recorder.refused("late")
        event(logger, "request.late")
        one.cut()


class Caller(web.RequestHandler):
    """aiohttp's protocol of one connection, which tells the registry what becomes of it."""

    __slots__ = ("_callers", "claim", "hushed", "leaves", "source")

    def __init__(
        self, server: web.Server, callers: Callers, source: Source | None = None, claim: Claim | None = None
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # None is no log, and only the default is typed
            keepalive_timeout=max(KEEP_ALIVE_SECONDS, callers.seconds),
            lingering_time=LINGER_SECONDS,
            # Who is silent is cut by our own deadlines, long before the kernel asks; setting it takes 10 us a join.
            tcp_keepalive=False,
            max_line_size=callers.address,
            max_headers=MOST_HEADERS,
            # Another number than that of the address, by which the two are told apart.
            max_field_size=callers.head + (callers.head == callers.address),
            # A kilobyte of it may be a gigabyte.
            auto_decompress=False,
        )
        bound = BoundedParser(self._parser, callers.address, callers.head)
        self._parser = bound  # type: ignore[assignment]  # it does all that a parser does
        self._callers = callers
        self.hushed = False
        # On whose behalf a proxy has said that it connects.
        self.source = source
        # In whose name it is here; of one that a proxy makes, who that is each request tells.
        self.claim = claim
        # When its connection is to end, where that is decided.
        self.leaves: float | None = None

    @property
    def turns(self) -> Turns:
        """Those in which it is heard."""
        return self._callers.turns

    @property
    def answering(self) -> bool:
        """Whether a request of it has not been answered to its end."""
        return self._current_request is not None

    @property
    def peername(self) -> Any:
        """Address and port of who asks, as far as the connection tells."""
        if self.source is not None:
            return self.source.address, self.source.port
        return super().peername

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._callers.came(self)

    def data_received(self, data: bytes) -> None:
        if data and self.transport is not None:
            self.turns.said(self, self.transport, data)
        else:
            # aiohttp itself, which looks again at what it has kept.
            super().data_received(data)

    def hear(self, data: bytes) -> int:
        """All of it: of how much aiohttp makes requests at once has a bound."""
        super().data_received(data)
        if self._request_count:
            self._callers.spoke(self)
        return len(data)

    def read_on(self) -> None:
        """Reads again, unless aiohttp does not want to."""
        if not (self._reading_paused or self._buffer_paused):
            self._resume_transport_reading()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's word for: our side stays open
        """The client says nothing more: what it has asked completely is answered, and then the connection ends."""
        idle = not self._request_count or (self._waiter is not None and not self._waiter.done())
        bodies = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        self.hushed = not idle and all(body.is_eof() for body in bodies)
        if self.hushed:
            self.close()
        return self.hushed

    def connection_lost(self, exc: BaseException | None) -> None:
        """The socket is gone, or somebody else's from now on."""
        super().connection_lost(exc)
        self._callers.left(self)
        self.turns.forget(self)
        if self.claim is not None:
            self.claim.leave()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is no request, in the error body: aiohttp would quote it, and log a traceback of its own parser."""
        if status >= 500 or request.writer.output_size:
            super().handle_error(request, status, exc, message)
        else:
            event(logger, "request.unreadable", client=request.remote, reason=type(exc).__name__)
        if exc is not None:
            # Its frames hold what was read, and hold it in a circle: a flood would be kept until that is collected.
            exc.__traceback__ = None
        return unreadable(status, exc)

    def log_exception(self, *args: Any, **options: Any) -> None:
        """A body that is not what its headers say has been answered, and is no fault of ours."""
        if not isinstance(options.get("exc_info"), web.RequestPayloadError):
            super().log_exception(*args, **options)

    def cut(self) -> None:
        """Closes at once."""
        if self.transport is not None:
            self.transport.abort()


def claim_of(request: web.Request) -> Claim | None:
    """What the client of this request is here with."""
    return request.protocol.claim if isinstance(request.protocol, Caller) else None
