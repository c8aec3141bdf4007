"""Every way to hear a stream, each once for one listener: well, slowly, in part, with breaks, or gone without a word.

Invariant: every wait ends; what was heard is held against what the gateway tells of it, and what is wrong is counted
with its words. It must not know who ordered the stream, nor what the provider made of it.
"""

import asyncio
import base64
import hashlib
import json
import re
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from random import Random
from typing import Any
from urllib.parse import urljoin

import aiohttp
from websockets.asyncio.client import ClientConnection, connect

from gateway.bench.soak.count import Count
from gateway.protocol.frames import HEADER

EXTENSIONS = ("mp3", "wav", "pcm", "ogg", "webm", "aac", "mp4", "flac")
FRAMINGS = ("framed", "raw", "json")
PATIENCE_SECONDS = 110.0  # a machine that is busy with others encodes slowly; what hangs, hangs for ever
_OPEN_SECONDS = 30.0
_STALL_SECONDS = (0.2, 2.0)
_INIT = 2
_MOST_RESUMES = 3
_MOST_SEGMENTS = 40
_WISHES = ("", "", "", "&rate=24000", "&channels=1", "&bitrate=64000")


@dataclass(slots=True)
class Ears:
    """What one listener over WebSocket has heard: its hash, the position that is due, and whether it is whole.

    `who` says which listener it is, for whom something is wrong.
    """

    who: str = "somebody"
    digest: Any = field(default_factory=hashlib.sha256)
    size: int = 0
    epoch: int | None = None
    due: int | None = None
    began: bool = False
    whole: bool = True

    def hear(self, payload: bytes, seq: int | None, *, init: bool) -> str | None:
        """The next payload; what is wrong with it, if something is."""
        if init and self.began:
            return None  # said again to who comes back
        self.digest.update(payload)
        self.size += len(payload)
        self.began = True
        if seq is None or init:
            return None
        wrong = f"chunk {seq}, where {self.due} was due" if self.due is not None and seq != self.due else None
        self.due = seq + 1
        return wrong


class Hearing:
    """At a gateway `url`, with credentials in `headers` or a `query`. `count` is told what was done and went wrong."""

    def __init__(
        self,
        url: str,
        http: aiohttp.ClientSession,
        chance: Random,
        count: Count,
        *,
        headers: Mapping[str, str] | None = None,
        query: str = "",
    ) -> None:
        self._url = url
        self._http = http
        self._chance = chance
        self._count = count
        self._headers = dict(headers or {})
        self._query = query

    async def any(self, stream: str, form: str) -> None:
        """One of the ways, by chance."""
        chance = self._chance
        way = chance.choice((self.websocket, self.websocket, self.websocket, self.http, self.http, self.hls, self.clip))
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await way(stream, form)
        except TimeoutError:
            self._count.wrong("late", f"{stream} was not over in {PATIENCE_SECONDS:g} s by {way.__name__}")

    # -- WebSocket -----------------------------------------------------------------------------------------------------

    async def websocket(self, stream: str, form: str, framing: str = "") -> None:
        """In one of the framings, in its own format or another, with stalls, breaks and returns."""
        chance = self._chance
        framing = framing or chance.choice(FRAMINGS)
        since: Any = chance.choice(("start", "start", "start", "live", {"seconds_ago": 1.5}))
        wish = {
            "type": "stream.attach",
            "stream_id": stream,
            "framing": framing,
            "format": form if chance.random() < 0.5 else chance.choice(EXTENSIONS),
            "on_lag": chance.choice(("complete", "complete", "live")),
        }
        who = f"{stream} {wish['format']} {framing} {since} {wish['on_lag']}"
        ears = Ears(who, whole=since == "start" and wish["on_lag"] == "complete")
        self._count.did(f"websocket {framing}")
        for number in range(_MOST_RESUMES):
            due = {"epoch": ears.epoch, "seq": ears.due}
            again = number > 0 and ears.due is not None
            if again:
                self._count.did("resumed")
                ears.who += f" {ears.epoch}:{ears.due}"
            breaks = framing != "raw" and number + 1 < _MOST_RESUMES and chance.random() < 0.4
            async with self._session() as socket:
                await socket.send(json.dumps({**wish, "since": due if again else since}))
                over = await self._hear(socket, ears, framing, chance.randrange(1, 8) if breaks else None, again=again)
                if chance.random() < 0.3:
                    socket.transport.abort()
            if over:
                return

    async def _hear(self, socket: ClientConnection, ears: Ears, framing: str, most: int | None, *, again: bool) -> bool:
        """Until the end, or `most` chunks; whether that is all of it."""
        chance, chunks = self._chance, 0
        leaves = chance.random() < 0.2
        async for data in socket:
            if chance.random() < 0.01:
                self._count.did("stalled")
                await asyncio.sleep(chance.uniform(*_STALL_SECONDS))
            if isinstance(data, str):
                message = json.loads(data)
                if message["type"] != "audio.delta":
                    if self._told(message, ears, again=again):
                        return True
                    continue
                self._chunk(ears, base64.b64decode(message["data"]), message["seq"], message["kind"] == "init")
            elif framing == "framed":
                _, kind, _, _, _, seq, _ = HEADER.unpack_from(data)
                self._chunk(ears, data[HEADER.size :], seq, kind == _INIT)
            else:
                self._chunk(ears, data, None, init=False)
            chunks += 1
            if leaves and chunks > 3:
                self._count.did("left")
                return True
            if most is not None and chunks >= most:
                return False
        self._count.did("cut")
        return True

    def _chunk(self, ears: Ears, payload: bytes, seq: int | None, init: bool) -> None:
        wrong = ears.hear(payload, seq, init=init)
        if wrong is not None and ears.whole:
            self._count.wrong("order", f"{wrong}: {ears.who}")

    def _told(self, message: dict[str, Any], ears: Ears, *, again: bool) -> bool:
        """Takes what is said beside the sound; whether it is the last word."""
        kind = message["type"]
        if kind == "stream.started":
            if again and message.get("recovered") is not True:
                ears.whole = False
                self._count.did("not recovered")
            ears.epoch, ears.due = message["epoch"], message["seq"]
        elif kind == "stream.gap":
            ears.whole, ears.due = False, message["to_seq"]
            self._count.did(f"gap: {message['reason']}")
        elif kind == "stream.completed":
            self._count.did("heard the end")
            if ears.whole and (message["bytes"], message["sha256"]) != (ears.size, ears.digest.hexdigest()):
                self._count.wrong("hash", f"{ears.size} bytes of {message['bytes']}: {ears.who}")
            return True
        elif kind in ("stream.failed", "error"):
            self._count.refused(message["error"], kind)
            return True
        return False

    def _session(self) -> connect:
        return connect(
            f"ws{self._url.removeprefix('http')}/v1/ws{self._query}",
            additional_headers=self._headers,
            subprotocols=["wavegate.v1"],  # type: ignore[list-item] # a Subprotocol is a str
            compression=None,
            max_size=None,
            open_timeout=_OPEN_SECONDS,
            close_timeout=1.0,
        )

    # -- HTTP ----------------------------------------------------------------------------------------------------------

    async def http(self, stream: str, form: str) -> None:
        """One long body: whole, slowly, or left in the middle; some ask for a piece of it."""
        chance = self._chance
        own = chance.random() < 0.4
        extension = form if own else chance.choice(EXTENSIONS)
        wish = "" if own or extension in ("flac", "wav") else chance.choice(_WISHES)
        since = chance.choice(("start", "start", "live", "1.5"))
        headers = {"Range": f"bytes={chance.choice(('0-1', '0-', '1000-2000'))}"} if chance.random() < 0.15 else {}
        if chance.random() < 0.1:
            headers["Icy-MetaData"] = "1"
        way = chance.choice(("whole", "whole", "slow", "left"))
        self._count.did(f"http {extension}")
        url = self._with(f"/v1/streams/{stream}/audio.{extension}?since={since}{wish}")
        async with self._http.get(url, headers={**self._headers, **headers}) as answer:
            if not await self._fine(answer):
                return
            with suppress(aiohttp.ClientPayloadError):  # a song that breaks off ends without its last chunk
                async for _ in answer.content.iter_chunked(16384):
                    if way == "left":
                        self._count.did("left")
                        answer.close()
                        return
                    if way == "slow":
                        await asyncio.sleep(0.05)

    async def whole(self, stream: str, extension: str) -> None:
        """One long body to its end."""
        url = self._with(f"/v1/streams/{stream}/audio.{extension}")
        async with self._http.get(url, headers=self._headers) as answer:
            if await self._fine(answer):
                await answer.read()

    async def clip(self, stream: str, form: str) -> None:
        """A piece, cut and faded."""
        chance = self._chance
        edit = chance.choice(("fade_in=0.2&fade_out=0.2", "normalize=-16", "loop_crossfade=0.2", ""))
        self._count.did("clip")
        url = f"/v1/streams/{stream}/clip.{chance.choice(EXTENSIONS)}?start=0.2&duration=1&{edit}"
        async with self._http.get(self._with(url), headers=self._headers) as answer:
            if await self._fine(answer):
                await answer.read()

    async def hls(self, stream: str, form: str) -> None:
        """Playlist, init and segments until the end, or until it is enough."""
        self._count.did("hls")
        index = self._with(f"/v1/streams/{stream}/hls/index.m3u8")
        done: set[str] = set()
        leaves = self._chance.random() < 0.3
        while len(done) < _MOST_SEGMENTS:
            async with self._http.get(index, headers=self._headers) as answer:
                if not await self._fine(answer):
                    return
                text = await answer.text()
            uris = re.findall(r'URI="([^"]+)"', text) + re.findall(r"^([^#\s]\S*)$", text, re.MULTILINE)
            for uri in [one for one in uris if one not in done]:
                done.add(uri)
                async with self._http.get(urljoin(index, uri), headers=self._headers) as answer:
                    if await self._fine(answer):
                        await answer.read()
                if leaves and len(done) > 2:
                    self._count.did("left")
                    return
            if "#EXT-X-ENDLIST" in text:
                return
            await asyncio.sleep(0.5)

    def _with(self, path: str) -> str:
        if not self._query:
            return self._url + path
        return f"{self._url}{path}{'&' if '?' in path else '?'}{self._query.removeprefix('?')}"

    async def _fine(self, answer: aiohttp.ClientResponse) -> bool:
        """Whether it is what was asked for; what was refused is counted by its code."""
        if answer.status < 400:
            return True
        try:
            self._count.refused((await answer.json())["error"], str(answer.url.path_qs))
        except (aiohttp.ClientError, ValueError, KeyError, TypeError):
            self._count.wrong("refusal", f"{answer.status} without an error of ours")
        return False
