"""The Python client: order or join a song and hear it, frame by frame, over broken connections.

Invariant: these names are what programs import; everything else in here may change.
It sees the protocol, the nouns and the errors, never the gateway's inside.
"""

from gateway.client.backoff import Patience
from gateway.client.client import Client
from gateway.client.errors import ClientError
from gateway.client.song import Song, State
from gateway.client.statistics import Statistics
from gateway.client.wire import Frame

__all__ = ["Client", "ClientError", "Frame", "Patience", "Song", "State", "Statistics"]
