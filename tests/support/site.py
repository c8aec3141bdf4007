"""A web server of a test's own, such as the page of a tenant, on a free port of this machine.

Invariant: it is gone when its context ends, and no port is chosen by anybody but the system.
It must not know what it serves.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web


@asynccontextmanager
async def site(app: web.Application) -> AsyncIterator[str]:
    """Serves `app`; its origin, such as http://127.0.0.1:40123."""
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
