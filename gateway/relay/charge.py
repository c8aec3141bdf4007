"""What a generation costs its tenant, by what the provider has said of it by its end.

Invariant: the provider's last word counts if there was one, else what it has billed by then; of what it never said, the
sound that came. Whoever gives up a text that has begun to sound has had all of it ordered: a text is handed over whole.
It must not know a ledger, nor what a second costs.
"""

from gateway.accounting import Settlement
from gateway.model import Billed, Finished, GenerationRequest, SourceEvent, SpeechRequest, Status, TriedAgain
from gateway.protocol.speech import billed_characters


class Charge:
    """Of one generation. `finished` is the provider's last word."""

    def __init__(self, request: GenerationRequest) -> None:
        self.finished: Finished | None = None
        self._request = request
        self._told = Billed()

    def saw(self, event: SourceEvent) -> None:
        """The provider has said this."""
        if isinstance(event, Finished):
            self.finished = event
        elif isinstance(event, Billed):
            self._told = event
        elif isinstance(event, TriedAgain):
            # It is another one from here on.
            self._told = Billed()

    @property
    def paid(self) -> bool:
        """Whether all of it is billed, whatever comes of it: to end it early would save nothing."""
        return self._told.seconds is not None

    def settlement(self, status: Status, received: float) -> Settlement:
        """Of one that ended so, with so many seconds of sound."""
        last, given_up = self.finished, status is Status.CANCELLED
        told = self._told if last is None else Billed(last.billed_seconds, last.billed_characters)
        characters = told.characters
        if last is None and characters is None and received and given_up and isinstance(self._request, SpeechRequest):
            characters = billed_characters(self._request.input.text)
        # What failed costs nothing that did not come; what its owner gave up was made, and was theirs to take.
        received = max(received, told.seconds or 0.0) if given_up else received
        return Settlement(status, received, told.seconds, characters)
