"""Codecs whose packets need nothing around them: MP3, PCM, WAV and FLAC, the last two behind a header.

Invariant: what comes out is the init and the packets' own bytes, joined.
It must not know time: these streams have none, so neither the delay nor the padding can be declared and both are heard.
"""

from collections.abc import Sequence

from transcode.errors import EncodeError
from transcode.packet import CodecConfig, Packet
from transcode.wavheader import ENDLESS, wav_header

_STREAMINFO = 34
_LAST = 0x80  # a metadata block of type STREAMINFO, which is 0, behind which the frames begin


class PlainPackager:
    """Packets as they are, behind an `init` that may be empty."""

    def __init__(self, init: bytes = b"") -> None:
        self.init = init

    def pack(self, packets: Sequence[Packet], *, last: bool = False) -> bytes:
        """The packets of a chunk, joined. `last` changes nothing."""
        return b"".join([packet.data for packet in packets])


def wav_init(config: CodecConfig) -> bytes:
    """The header of a WAV whose length is not known yet. Raises EncodeError for what a WAV cannot hold."""
    return wav_header(config.spec.sample_rate, config.spec.channels, ENDLESS)


def flac_init(config: CodecConfig) -> bytes:
    """What stands before a FLAC's frames: the marker and STREAMINFO. Raises EncodeError if that is not whole."""
    if len(config.extradata) != _STREAMINFO:
        raise EncodeError(f"a STREAMINFO has {_STREAMINFO} bytes, not {len(config.extradata)}")
    return b"fLaC" + bytes((_LAST, 0, 0, _STREAMINFO)) + config.extradata
