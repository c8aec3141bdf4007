"""What an answer says that is no sound: the generation's name, where its file is, and the words of its model's family.

Invariant: everything is said by the protocol's own inverse, so the simulator cannot speak what the gateway cannot read.
It must not know sound, pacing or connections.
"""

from dataclasses import dataclass

from gateway.model import GenerationRequest
from gateway.protocol.dashscope import delta_payload, stop_payload
from gateway.protocol.families import family_of
from gateway.protocol.family import Made


@dataclass(frozen=True, slots=True)
class Facts:
    """Of one answer; `expires_at` is the end of the url in Unix seconds."""

    call: GenerationRequest
    request_id: str
    expires_at: int
    url: str

    def delta(self, data: bytes) -> bytes:
        """An interim event's document."""
        output = family_of(self.call.model).interim
        return delta_payload(request_id=self.request_id, expires_at=self.expires_at, data=data, output=output)

    def stop(self, made: Made, *, url: bool = True) -> bytes:
        """The last event's document, and the whole answer to a call that does not stream."""
        said = family_of(self.call.model).last_word(self.call, made)
        where = self.url if url else ""
        return stop_payload(request_id=self.request_id, expires_at=self.expires_at, url=where, said=said)
