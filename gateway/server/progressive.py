"""The connection of one progressive listener: a song as the body of an HTTP answer, on a socket that was taken over.

Invariant: the bytes of a chunk are built once for all listeners; only who has a part of the song, or titles in it, gets
bytes of its own. A player that says nothing more still gets its song, and one that has gone is found out all the same.
A body whose end is missing never looks whole where the coding can tell. It must not know which song it is.
"""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Self

from gateway.errors import UpstreamError, WavegateError
from gateway.model import Chunk, Kind, Position, Principal
from gateway.protocol import frames
from gateway.relay.departure import COMPLETED, LOST, REFUSED
from gateway.relay.outcome import Outcome
from gateway.server.transport import NOWHERE, SocketTransport
from transcode.formats import StreamFormat

# What a client may say behind its request; who says more is not read any further, and hears its song all the same.
MOST_SAID = 64 * 1024
# Zeros that may stand before the size of one chunk: clients read up to 16 digits.
MOST_ZEROS = 3

Build = Callable[[Chunk], bytes]


class AudioConnection(SocketTransport):
    """The socket of one listener; it is the relay's ListenerTransport too.

    `build` is what a chunk looks like in the body. `on_gone` is told how it parts when it listens no more, it may be
    twice.
    """

    __slots__ = (
        "_build",
        "_on_gone",
        "_over",
        "_principal",
        "_said",
        "_seen",
        "_zeros",
        "form",
        "head",
    )

    name = "http"

    def __init__(
        self, now: Callable[[], float], build: Build, on_gone: Callable[[str], None], principal: Principal
    ) -> None:
        super().__init__(now)
        self.form: Build | None = build
        # Makes the head of an answer that waits for the song's first sound, or the whole answer when there is none.
        self.head: Callable[[StreamFormat | WavegateError], bytes] | None = None
        self._build = build
        self._on_gone = on_gone
        self._principal = principal
        self._said = 0
        self._over = False
        self._zeros = 0
        self._seen = (0, 0.0)

    # -- asyncio's callbacks ---------------------------------------------------------------------------------------

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._over:
            self._watch_the_rest()

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._over = True
        self._on_gone(self.parting)
        self.listeners.clear()
        self.head = None

    def hear(self, data: bytes) -> int:
        """Whatever a player says after its request is of no interest; the connection ends behind the song."""
        self._said += len(data)
        if self._said > MOST_SAID and not self._over:
            self.sink.pause_reading()
        return len(data)

    def read_on(self) -> None:
        if self._said <= MOST_SAID or self._over:
            super().read_on()

    def eof_received(self) -> bool:
        """The player says nothing more: it may have gone, or just have said all. True keeps our side open."""
        if self._over:
            return False
        self.hushed = True
        self._seen = self._at, self._now()
        if self.owner is not None:
            self.owner.hushed(self)
            self.ask(float("inf"))
        return True

    # -- for whoever looks after connections -----------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether the body is not whole yet, or not taken."""
        return not self._over or self.sink.get_write_buffer_size() > 0

    def ask(self, patience: float) -> None:
        """About once a second, of a player that says nothing more: looks whether it is still there.

        A socket tells only what is written to it, so where nothing is to be written, zeros are that stand before the
        size of the next chunk; where the coding has no place for them, one that takes nothing for so long has gone.
        """
        seen, since = self._seen
        if self._over:
            return
        if seen != self._at:
            self._seen, self._zeros = (self._at, self._now()), 0
        elif self._build is not frames.chunked or self.head is not None:
            if self._now() - since > patience:
                self.parting = LOST
                self.cut()
        elif self.writable and self._zeros < MOST_ZEROS:
            self._zeros += 1
            self.write(b"0")

    def recheck(self, holds: Callable[[Principal], bool]) -> None:
        """The tenants have changed: whoever came with a key that is no more hears no more."""
        if not holds(self._principal):
            self.parting = REFUSED
            self.cut()

    @property
    def _at(self) -> int:
        return self.listeners[0].next if self.listeners else 0

    # -- as a listener's transport ---------------------------------------------------------------------------------

    @property
    def line(self) -> Self:
        return self

    def started(self, at: Position, details: StreamFormat, number: int, init: Chunk | None) -> None:
        if self.head is not None:
            self.write(self.head(details))
            self.head = None
        if init is not None:
            self.send([init])

    def send(self, chunks: Sequence[Chunk]) -> None:
        self.sink.writelines([chunk.wire(self._build) for chunk in chunks])

    def metadata(self, text: bytes) -> None:
        """A body of audio has no place for it."""

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """A body of audio has no place for it; decoders resynchronise at the next whole frame."""

    def refused(self, error: WavegateError) -> None:
        self.cut()

    def ended(self, outcome: Outcome) -> None:
        """A whole song ends its body in order; a broken one ends without the last chunk, so the player knows."""
        if self.head is not None:
            # Nothing was ever heard, and nothing has been said: there is still time to say why.
            self.write(self.head(outcome.error or UpstreamError("upstream_empty", "There is nothing to hear.")))
        elif outcome.soft and self._build is frames.chunked:
            self.write(b"0\r\n\r\n")
        self._finish()

    # -- the end ---------------------------------------------------------------------------------------------------

    def _finish(self) -> None:
        """Nothing follows. Closed with the player's words unread, the connection would be reset and the end be lost."""
        if self._over:
            return
        self._over = True
        self._on_gone(self.parting)
        if self.hushed:
            self.sink.close()
        elif not self.sink.is_closing():
            # asyncio's own loop raises for a player that has reset just now; it is told that it is gone all the same.
            with suppress(OSError):
                self.sink.write_eof()
            self.sink.resume_reading()
        self._watch_the_rest()

    def _watch_the_rest(self) -> None:
        """What is in the buffer at the end goes out first; whoever never takes it is cut like any stalled client."""
        if self.stalled_since is None and self.sink is not NOWHERE:
            self.stall()


class PartConnection(AudioConnection):
    """The connection of a listener that has heard the bytes before `skip`, and wants `length` of those behind."""

    __slots__ = ("_left", "_skip", "_trimmed")

    def __init__(
        self,
        now: Callable[[], float],
        build: Build,
        on_gone: Callable[[str], None],
        principal: Principal,
        skip: int,
        length: int | None,
    ) -> None:
        super().__init__(now, build, on_gone, principal)
        self.form = None
        self._skip = skip
        self._left = length
        self._trimmed = 0  # bytes of audio that are not sent, of chunks that are

    def send(self, chunks: Sequence[Chunk]) -> None:
        pieces = [piece for chunk in chunks if (piece := self._piece(chunk))]
        for listener in self.listeners:
            listener.unwanted(self._trimmed)
        self._trimmed = 0
        if pieces:
            self.sink.writelines(pieces)
        if self._left == 0:
            self.parting = COMPLETED
            self._finish()

    def _piece(self, chunk: Chunk) -> bytes:
        """What of a chunk is in the part."""
        size = len(chunk.payload)
        start = min(self._skip, size)
        self._skip -= start
        stop = size if self._left is None else min(size, start + self._left)
        if self._left is not None:
            self._left -= stop - start
        if chunk.kind is Kind.AUDIO:
            self._trimmed += size - (stop - start)
        if start == stop:
            return b""
        if stop - start == size:
            return chunk.wire(self._build)
        return self._build(replace(chunk, payload=chunk.payload[start:stop]))
