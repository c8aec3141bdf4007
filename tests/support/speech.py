"""A desk for OpenAI's clients: the door on a real socket, songs that a script sings, and a client in front of it.

Invariant: nothing here sleeps; what is started here is stopped here, and every wait is bounded by its client.
It must not know how the door works inside.
"""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from multidict import CIMultiDictProxy

from gateway.config.schema import Config
from gateway.errors import UpstreamError
from gateway.model import Accepted, AudioDelta, Finished, SourceEvent
from gateway.relay.stream import Stream
from gateway.server.connections import Connections
from gateway.server.reception import Reception
from gateway.server.services import Services
from gateway.server.speech import SpeechDoor
from metrics.recorder import Recorder
from tests.support.relay import TENANT, Clock, ScriptedSource, mp3_frames
from tests.support.server import AUTHORIZED, served, services

ORDER: dict[str, Any] = {"model": "fun-music-v1", "voice": "female", "input": "a song of five words"}
AUDIO = b"".join(mp3_frames(40))
SONG: tuple[SourceEvent, ...] = (Accepted("r"), AudioDelta(AUDIO), Finished(1.0))
FAILURE = UpstreamError("upstream_failed", "It failed.")
AGAIN = {"X-Stainless-Retry-Count": "1"}
FIRST = {"X-Stainless-Retry-Count": "0"}


class Desk:
    """The door, a client of the tenant acme in front of it, and what is behind."""

    def __init__(self, http: aiohttp.ClientSession, room: Services, source: ScriptedSource, port: int) -> None:
        self.http = http
        self.room = room
        self.source = source
        self.port = port

    @property
    def streams(self) -> list[Stream]:
        return self.room.hub.list(TENANT)

    async def order(
        self, headers: dict[str, str] | None = None, **fields: Any
    ) -> tuple[int, CIMultiDictProxy[str], bytes]:
        """Status, headers and body; a body that breaks off is b'broken'."""
        async with self.http.post("/v1/audio/speech", json=ORDER | fields, headers=headers) as response:
            try:
                return response.status, response.headers, await response.read()
            except aiohttp.ClientPayloadError:
                return response.status, response.headers, b"broken"

    async def code(self, headers: dict[str, str] | None = None, **fields: Any) -> tuple[int, str]:
        status, _, body = await self.order(headers, **fields)
        return status, json.loads(body)["error"]["code"]


@asynccontextmanager
async def desk(
    *steps: SourceEvent | Exception | asyncio.Event, config: Config | None = None, **options: Any
) -> AsyncIterator[Desk]:
    source = ScriptedSource(*steps)
    async with services(source, config=config, **options) as room:
        connections = Connections(room.config, Recorder(), Clock())
        door = SpeechDoor(
            room.hub,
            room.tenants,
            Reception(room.hub, room.tenants),
            room.config,
            room.repeats,
            connections,
            room.admission,
            room.tasks,
            lambda request: {"X-Granted": request.headers.get("Origin", "nobody")},
            started_at=1234.5,
        )
        async with (
            served(*door.routes()) as port,
            aiohttp.ClientSession(
                f"http://127.0.0.1:{port}", headers=AUTHORIZED, timeout=aiohttp.ClientTimeout(20)
            ) as http,
        ):
            yield Desk(http, room, source, port)
            await connections.close(5.0)
