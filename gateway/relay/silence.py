"""A song that should sound and does not: its time stands still, or what comes is digital silence, for long.

Invariant: it is told once when it begins and once when it is over, at the latest with its stream. Before the first
sound nothing is amiss: songs take long to begin.
It must not know what the sound is made of, nor who hears it.
"""

import logging
from typing import Literal, get_args

from gateway.log import event
from gateway.model import StreamId
from gateway.relay.instruments import Instruments

logger = logging.getLogger("wavegate.stream")

Kind = Literal["still", "silence"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class Silence:
    """Of one stream. `after` seconds are long; 0 notices nothing."""

    def __init__(self, stream_id: StreamId, model: str, after: float, instruments: Instruments) -> None:
        self.kind: Kind | None = None
        self.noticed = False
        self._stream_id = stream_id
        self._model = model
        self._after = after
        self._instruments = instruments
        self._received = 0.0
        self._moved_at = instruments.now()
        self._began_at = 0.0

    def look(self, received: float, silent: float) -> None:
        """Called about once a second while it is made: seconds received, and how many of them, the last, are silent."""
        now = self._instruments.now()
        if received != self._received:
            self._received, self._moved_at = received, now
        if not self._after or not received:
            return
        if now - self._moved_at >= self._after:
            self._become("still", self._moved_at)
        elif silent >= self._after:
            self._become("silence", now - silent)
        else:
            self._become(None, now)

    def end(self) -> None:
        """The song is made no more."""
        self._become(None, self._instruments.now())

    def _become(self, kind: Kind | None, began_at: float) -> None:
        if kind == self.kind:
            return
        now = self._instruments.now()
        if self.kind is not None:
            self._log("stream.sounding", now - self._began_at, self.kind)
        if kind is not None:
            self._instruments.recorder.stream_stalled(self._model, kind)
            self._log("stream.silent", now - began_at, kind)
        self.kind, self.noticed, self._began_at = kind, True, began_at

    def _log(self, name: str, seconds: float, kind: Kind) -> None:
        event(logger, name, stream_id=self._stream_id, kind=kind, seconds=round(seconds, 1))
