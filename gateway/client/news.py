"""What the gateway tells beside the sound: the song's name and words, who else hears it, its place, the budget.

Invariant: what was told last is what stands here; nothing is guessed, and what was never told is None.
It must not know connections or frames.
"""

from msgspec import UNSET

from gateway.client.wire import Frame, ServerMessage
from gateway.protocol import events


class News:
    """One song's news. `generated` is how many seconds of it are known to exist."""

    def __init__(self, info: events.StreamInfo | None) -> None:
        self.title = info.title if info else None
        self.lyrics = info.lyrics if info else None
        self.listeners = info.listeners if info else None
        self.generated = info.duration_seconds if info else 0.0
        self.queued: events.StreamQueued | None = None
        self.quota: events.QuotaUpdated | None = None

    def take(self, message: ServerMessage | Frame) -> None:
        """Keeps what it tells; whatever is no news is none of its business."""
        if isinstance(message, events.StreamMetadata):
            self._take_metadata(message)
        elif isinstance(message, events.StreamQueued):
            self.queued = message
        elif isinstance(message, events.QuotaUpdated):
            self.quota = message
        elif isinstance(message, events.StreamStarted):
            self.queued = None

    def _take_metadata(self, news: events.StreamMetadata) -> None:
        # It is told at the edge of what was made: `pts` is how far that is.
        self.generated = max(self.generated, news.pts)
        if news.generated_seconds is not UNSET:
            self.generated = max(self.generated, news.generated_seconds)
        if news.listeners is not UNSET:
            self.listeners = news.listeners
        if news.title is not UNSET:
            self.title = news.title
        if news.lyrics is not UNSET:
            self.lyrics = news.lyrics
