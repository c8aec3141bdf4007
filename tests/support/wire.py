"""What the provider writes about a song, in the words of the tests: the last event, and the one-document answer.

Invariant: the bytes are made by the protocol's own inverse, so these cannot drift from what the simulator says.
It must not test anything itself.
"""

from gateway.protocol import dashscope
from gateway.protocol.family import LastWord


def stop_payload(
    *, request_id: str, expires_at: int, url: str, channels: int, sample_rate: int | str, lyrics: str, duration: int
) -> bytes:
    """The last event's JSON for a song: no audio, and everything that is known only now."""
    extra = {"channels": channels, "sample_rate": sample_rate, "lyrics": lyrics}
    said = LastWord({"extra_info": extra}, {"duration": duration})
    return dashscope.stop_payload(request_id=request_id, expires_at=expires_at, url=url, said=said)


whole_payload = stop_payload
