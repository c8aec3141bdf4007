"""AAC with an ADTS header before every frame: a stream to join at any frame.

Invariant: seven bytes a frame, no checksum, and nothing said that the AudioSpecificConfig does not say.
It must not know time: ADTS has none, so neither the delay nor the padding can be declared and both are heard.
"""

from collections.abc import Sequence

from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Packet

_HEADER = 7
_FULLNESS = 0x7FF  # the bit reservoir of a variable rate
_LONGEST = (1 << 13) - 1  # bytes, the header included; AAC-LC has 6144 bits a channel


class AdtsPackager:
    """Frames of AAC, each with its header; there is no init. Raises EncodeError for AAC that ADTS cannot tell."""

    init = b""

    def __init__(self, config: CodecConfig) -> None:
        setup = int.from_bytes(config.extradata[:2].ljust(2, b"\0"), "big")
        kind, rate, channels = setup >> 11, setup >> 7 & 15, setup >> 3 & 15
        if not 1 <= kind <= 4 or rate > 12 or not 1 <= channels <= 7:
            raise EncodeError(f"ADTS has no AAC of object type {kind}, rate index {rate} and {channels} channels")
        # Sync word, MPEG-4, layer 0, no checksum; then the three facts; the length comes at bit 13 from the right.
        self._head = 0xFFF1 << 40 | (kind - 1) << 38 | rate << 34 | channels << 30 | _FULLNESS << 2

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        """The frames of a chunk. `last` changes nothing: ADTS has no mark for its end."""
        chunk: list[bytes] = []
        for packet in packets:
            size = len(packet.data)
            if not size:
                continue
            if size > _LONGEST - _HEADER:
                raise EncodeError(f"ADTS has no room for a frame of {size} bytes")
            chunk.append((self._head | (size + _HEADER) << 13).to_bytes(_HEADER, "big"))
            chunk.append(packet.data)
        return b"".join(chunk)
