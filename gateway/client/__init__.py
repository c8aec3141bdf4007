"""The Python client: order or join a song and hear it, frame by frame, over broken connections.

Invariant: these names are what programs import; everything else in here may change. `import gateway.client` loads
`websockets` and `msgspec` and none of the server: no web framework, no codec, no numpy, no metrics.
It sees the protocol, the nouns and the errors, never the gateway's inside.
"""

from gateway.client.backoff import Patience
from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.client.event import Event, Interruption, State
from gateway.client.rest import Minted
from gateway.client.song import Song
from gateway.client.statistics import Statistics
from gateway.client.wire import Frame
from gateway.model import Flag, Kind, Position
from gateway.protocol.events import (
    FormatInfo,
    Goaway,
    QuotaUpdated,
    StreamCompleted,
    StreamGap,
    StreamInfo,
    StreamMetadata,
    StreamQueued,
    StreamStarted,
    UsageReport,
)
from gateway.protocol.messages import FormatSpec

__all__ = [
    "Client",
    "ClientError",
    "Event",
    "Flag",
    "FormatInfo",
    "FormatSpec",
    "Frame",
    "Goaway",
    "Interruption",
    "Kind",
    "Minted",
    "Patience",
    "Position",
    "QuotaUpdated",
    "Song",
    "State",
    "Statistics",
    "StreamCompleted",
    "StreamGap",
    "StreamInfo",
    "StreamMetadata",
    "StreamQueued",
    "StreamStarted",
    "UsageReport",
]
