"""A worker without a gateway, as a program: it accepts what it was handed, says who it is, and ends as it is told.

    python -m tests.support.standin [HOW]

HOW is what it does in place of that: `dies` at once with code 2, `hangs` before it is ready, `stays` when it is told
to go. Invariant: it is a worker to its supervisor in every word. It must not know what is tested.
"""

import asyncio
import os
import signal
import sys

from gateway.workers.link import Link

PAGE = "wavegate_listener_joins_total {}\nwavegate_upstream_retries_total {}\n"
PATIENCE = 30.0


class Place:
    """What this process does. The public port answers with its id, and counts who comes, and reloads."""

    def __init__(self, link: Link) -> None:
        self.link = link
        self.visits = self.reloads = self.here = 0
        self.stop, self.now = asyncio.Event(), asyncio.Event()

    def page(self) -> str:
        """Visits are told as joins, reloads as retries."""
        return PAGE.format(self.visits, self.reloads)

    def reload(self) -> None:
        self.reloads += 1

    async def public(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.visits += 1
        self.here += 1
        writer.write(f"{os.getpid()}\n".encode())
        await reader.read()
        writer.close()
        self.here -= 1

    async def internal(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        path = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode().partition("?")[0]
        bodies = {"/metrics": self.page(), "/readyz": '{"status": "ready", "reasons": []}', "/healthz": "{}"}
        body = bodies[path].encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()

    async def run(self, how: str) -> None:
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGTERM, self.stop.set)
        loop.add_signal_handler(signal.SIGHUP, self.reload)
        await self.link.open(self.stop.set, self.now.set)
        if how == "hangs":
            await asyncio.sleep(PATIENCE)
        doors = [await asyncio.start_server(self.public, sock=one) for one in self.link.sockets]
        inner = await asyncio.start_server(self.internal, "127.0.0.1", 0)
        port = inner.sockets[0].getsockname()[1]
        self.link.ready(f"http://{self.link.number}", f"http://127.0.0.1:{port}")
        await self.stop.wait()
        for door in doors:
            door.close()
        self.link.leaving()
        # Who was accepted a moment ago is served in one of the next turns of the loop.
        for _ in range(5):
            await asyncio.sleep(0)
        while self.here:  # noqa: ASYNC110 - a program of a few lines
            await asyncio.sleep(0.005)
        if how == "stays":
            await asyncio.wait_for(self.now.wait(), PATIENCE)
        await self.link.close(self.page())


if __name__ == "__main__":
    HOW = sys.argv[1] if len(sys.argv) > 1 else ""
    if HOW == "dies":
        sys.exit(2)
    LINK = Link.inherited(os.environ)
    assert LINK is not None, "a supervisor starts this"
    asyncio.run(Place(LINK).run(HOW))
