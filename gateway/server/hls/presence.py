"""Being there without a socket: the relay's ListenerTransport of a player that fetches when it likes.

Invariant: nothing is ever pushed through it, for its line is never writable; so its listener counts, keeps its format
and its stream alive, and stays until it is detached or sent away. It must not know sessions or requests.
"""

from collections.abc import Sequence

from gateway.errors import WavegateError
from gateway.model import Chunk, Position
from gateway.relay.outcome import Outcome
from gateway.server.transport import NOWHERE, Nowhere
from transcode.formats import StreamFormat


class Presence:
    """Of one player. `error` is why it was sent away, which it is told when it asks."""

    __slots__ = ("error",)

    name = "hls"
    writable = False
    form = None

    def __init__(self) -> None:
        self.error: WavegateError | None = None

    @property
    def line(self) -> "Presence":
        return self

    @property
    def sink(self) -> Nowhere:
        return NOWHERE

    def started(self, at: Position, form: StreamFormat, number: int, init: Chunk | None) -> None:
        """The playlist tells."""

    def send(self, chunks: Sequence[Chunk]) -> None:
        """The player fetches."""

    def metadata(self, text: bytes) -> None:
        """A playlist has no place for it."""

    def gap(self, from_seq: int, to_seq: int, reason: str) -> None:
        """The playlist tells."""

    def refused(self, error: WavegateError) -> None:
        self.error = error

    def ended(self, outcome: Outcome) -> None:
        """The playlist tells."""
