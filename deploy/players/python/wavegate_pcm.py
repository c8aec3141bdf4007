"""A song from Wavegate as PCM for a game in Python: one thread that listens, and a ring the sound card's side reads.

How to use it (needs `pip install websockets`, Python 3.11 or newer; copy this file into the game):

    stream = WavegateStream("https://music.example", stream_id, ticket=ask_my_server_for_a_ticket)
    stream.start()
    ...
    sound = stream.read(16384)      # never waits; b"" until the lead is there, then whole samples, s16le

`ticket` is called for every connection, from the thread; a game never holds the tenant's key (ticket_server.py shows
the other side). A broken connection is taken up again where it broke: every sample comes once and in order. The ring
is bounded: when it is full the socket is not read, and the gateway keeps the place.
"""

import contextlib
import hashlib
import json
import random
import struct
import threading
from collections.abc import Callable
from typing import Any

from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus
from websockets.sync.client import ClientConnection, connect

HEADER = struct.Struct(">BBHIQII")  # version, kind, flags, rendition, pts, seq, duration
VERSION, AUDIO = 1, 1
SILENCE_SECONDS = 20.0  # longest silence before the gateway is asked whether it is there
ATTEMPTS = 10  # connections in a row that brought no sound; then the song has failed
LONGEST_LEAD = 2.5
START_AGAIN = 4203  # the gateway does not know our place any more
LOST_ON_THE_WAY = 4900  # our own: a frame did not reach us, although the gateway sent it
FINAL = {1000, 1002, 1003, 1007, 1008, 1009, 1010}
# `error` messages come without a close code; those that have one with a meaning of its own get it here.
CODES = {"position_lost": START_AGAIN, "credentials_expired": 4201, "quota_exceeded": 4008}


class Ended(Exception):
    """A connection is over: `code` is a WebSocket close code, `slug` says why, `retry_after` is in seconds."""

    def __init__(self, code: int, slug: str, retry_after: float = 0.0) -> None:
        super().__init__(f"{slug} ({code})")
        self.code, self.slug, self.retry_after = code, slug, retry_after

    @property
    def final(self) -> bool:
        return self.code in FINAL or 4000 <= self.code < 4100


class WavegateStream(threading.Thread):
    """One song. `state` is waiting, receiving, reconnecting, and at last completed, failed or closed."""

    def __init__(
        self,
        server: str,
        stream_id: str,
        ticket: Callable[[], str],
        *,
        sample_rate: int = 48000,
        channels: int = 2,
        lead: float = 0.5,
        ring: float = 5.0,
        since: str = "start",
    ) -> None:
        super().__init__(name=f"wavegate {stream_id}", daemon=True)
        self.url = "ws" + server.rstrip("/").removeprefix("http") + "/v1/ws"
        self.stream_id, self.sample_rate, self.channels = stream_id, sample_rate, channels
        self.state = "waiting"
        self.failure: str | None = None
        self.verified: bool | None = None  # whether every byte came and hashes to what the gateway announced
        self.frames = self.doubles = self.gaps = self.reconnects = self.underruns = 0
        self._ticket, self._since = ticket, since
        self._width = 2 * channels
        self._ring = bytearray(int(ring * sample_rate) * self._width)
        self._longest_lead = min(LONGEST_LEAD, ring / 2)  # what the ring cannot hold is not waited for
        self._lead = min(lead, self._longest_lead)
        self._start = self._size = 0
        self._flowing = False  # what is in the ring may be played
        self._changed = threading.Condition()
        self._closed = threading.Event()
        self._socket: ClientConnection | None = None
        self._position: tuple[int, int] | None = None  # epoch and seq of the first frame that has not come
        self._rendition = 0
        self._end: int | None = None  # samples of the song heard so far, by its own clock
        self._whole = True
        self._hash = hashlib.sha256()

    # -- the sound card's side -----------------------------------------------------------------------------------

    @property
    def over(self) -> bool:
        """Nothing more will come."""
        return self.state in ("completed", "failed", "closed")

    @property
    def buffered(self) -> float:
        """Seconds of sound in the ring."""
        return self._size / self._width / self.sample_rate

    @property
    def exhausted(self) -> bool:
        """Nothing more will come, and everything has been read."""
        return self.over and not self._size

    def read(self, size: int) -> bytes:
        """Up to `size` bytes of whole samples; b"" while the ring fills up to its lead. Never waits for the network."""
        size = min(size, len(self._ring) // 2)
        size -= size % self._width
        with self._changed:
            if not self._flowing:
                self._flowing = self.over or self.buffered >= self._lead
            if not self._flowing:
                return b""
            if self._size < size and not self.over:  # ran dry: fill up again, further than before
                self.underruns += 1
                self._lead = min(2 * self._lead, self._longest_lead)
                self._flowing = False
                return b""
            size = min(size, self._size)
            first = min(size, len(self._ring) - self._start)
            sound = bytes(self._ring[self._start : self._start + first]) + bytes(self._ring[: size - first])
            self._start = (self._start + size) % len(self._ring)
            self._size -= size
            self._changed.notify_all()
            return sound

    def close(self) -> None:
        """Stops listening; the song goes on for everybody else."""
        self._closed.set()
        with self._changed:
            self._changed.notify_all()
        socket = self._socket
        if socket is not None:
            with contextlib.suppress(OSError):
                socket.close()

    # -- the network's side --------------------------------------------------------------------------------------

    def run(self) -> None:
        attempts = 0
        while not self._closed.is_set():
            frames = self.frames
            try:
                self._listen()
                break
            except Ended as ended:
                if self.frames > frames:
                    attempts = 0
                if ended.final or attempts >= ATTEMPTS:
                    self._finish("failed", str(ended))
                    return
                if ended.code == START_AGAIN:
                    self._position = None  # what was heard already is known by its time
                self.state = "reconnecting"
                wait = ended.retry_after
                if attempts or not 4200 <= ended.code < 4300:  # full jitter: thousands may come back at this moment
                    wait += random.random() * min(10.0, 0.25 * 2**attempts)
                attempts += 1
                self._closed.wait(wait)
                self.reconnects += 1
            except Exception as error:  # a bug must not leave the game waiting for ever
                self._finish("failed", repr(error))
                return
        if not self.over:
            self._finish("closed", None)

    def _listen(self) -> None:
        """One connection. Returns when the song is over. Raises Ended."""
        try:
            ticket = self._ticket()
        except Exception as error:  # the game's own server is away: that passes
            raise Ended(1013, f"no ticket: {error}") from None
        try:
            with connect(
                self.url, subprotocols=["wavegate.v1"], compression=None, ping_interval=None, close_timeout=1
            ) as socket:
                self._socket = socket
                socket.send(json.dumps({"type": "session.authenticate", "ticket": ticket}))
                while not self._closed.is_set() and not self.over:
                    message = self._receive(socket)
                    if isinstance(message, str):
                        self._take(json.loads(message), socket)
                    else:
                        self._take_frame(message)
        except InvalidStatus as refused:
            status = refused.response.status_code
            raise Ended(1013 if status in (429, 500, 502, 503, 504) else 1008, f"HTTP {status}") from None
        except ConnectionClosed as closed:
            frame = closed.rcvd
            slug, _, rest = (frame.reason if frame else "connection_lost").partition(";retry_after_ms=")
            raise Ended(frame.code if frame else 1006, slug, float(rest or 0) / 1000) from None
        except (OSError, InvalidHandshake, TimeoutError) as error:
            raise Ended(1006, f"cannot be reached: {error}") from None
        finally:
            self._socket = None

    def _receive(self, socket: ClientConnection) -> str | bytes:
        try:
            return socket.recv(timeout=SILENCE_SECONDS)
        except TimeoutError:
            socket.send('{"type":"ping"}')
            return socket.recv(timeout=SILENCE_SECONDS)

    def _take(self, message: dict[str, Any], socket: ClientConnection) -> None:
        kind = message["type"]
        if kind == "session.created":
            since: Any = self._since
            if self._position is not None:
                since = {"epoch": self._position[0], "seq": self._position[1]}
            elif self._end is not None:
                since = "start"
            wish = {"codec": "pcm", "sample_rate": self.sample_rate, "channels": self.channels}
            attach = {"type": "stream.attach", "stream_id": self.stream_id, "format": wish, "since": since}
            socket.send(json.dumps(attach))
        elif kind == "stream.started":
            place = (message["epoch"], message["seq"])
            if self._position is None or self._position[0] != place[0]:
                self._whole = self._end is None and place[1] == 0
                self._position = place
            self._rendition = message["rendition"]
            self.state = "receiving"
        elif kind == "stream.gap":  # the gateway says so itself: these frames will not come
            self._lost(message["to_seq"])
        elif kind == "stream.completed":
            self.verified = self._hash.hexdigest() == message["sha256"] if self._whole else None
            self._finish("completed", None)
        elif kind == "stream.failed":  # the song has ended early; what came may be played
            self._finish("failed", f"{message['error']['code']}: {message['error']['message']}")
        elif kind == "error":
            error = message["error"]
            code = CODES.get(error["code"], 1013 if error["retryable"] else 1008)
            raise Ended(code, error["code"], (error.get("retry_after_ms") or 0) / 1000)

    def _take_frame(self, frame: bytes) -> None:
        version, kind, _, rendition, pts, seq, duration = HEADER.unpack_from(frame)
        if version != VERSION or kind != AUDIO or rendition != self._rendition or self._position is None:
            return
        epoch, expected = self._position
        if seq < expected:
            self.doubles += 1
            return
        if seq > expected:
            raise Ended(LOST_ON_THE_WAY, "lost_on_the_way")  # the next connection asks for it again
        self._position = (epoch, seq + 1)
        sound = memoryview(frame)[HEADER.size :]
        known = 0 if self._end is None else min(max(self._end - pts, 0), duration)
        if known:  # another log of the same song: its frames are cut elsewhere
            self.doubles += 1
        if self._whole:
            self._hash.update(sound)
        self._end = max(self._end or 0, pts + duration)
        self.frames += 1
        self._write(sound[known * self._width :])

    def _lost(self, to_seq: int) -> None:
        self.gaps += 1
        self._whole = False
        if self._position is not None and to_seq > self._position[1]:
            self._position = (self._position[0], to_seq)

    def _write(self, sound: memoryview) -> None:
        """Into the ring, as there is room; the socket waits meanwhile."""
        while sound and not self._closed.is_set():
            with self._changed:
                room = len(self._ring) - self._size
                if not room:
                    self._changed.wait(0.5)
                    continue
                end = (self._start + self._size) % len(self._ring)
                size = min(len(sound), room, len(self._ring) - end)
                self._ring[end : end + size] = sound[:size]
                self._size += size
            sound = sound[size:]

    def _finish(self, state: str, failure: str | None) -> None:
        with self._changed:
            self.state, self.failure = state, failure
            self._changed.notify_all()
