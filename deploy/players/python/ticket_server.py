"""The game's own server, as small as it can be: it holds the tenant's key and gives players tickets.

How to use it (needs `pip install aiohttp`; the key comes from the environment, never from a file of the game):

    WAVEGATE_URL=https://music.example WAVEGATE_KEY=wg_... python ticket_server.py --port 8090

A ticket opens one stream, once, for a minute, and only for listening: one that is stolen is worth nothing. A game asks
for a new one for every connection. In `player_of` belongs whatever the game knows its players by: as it stands,
everybody may listen to every stream whose id he knows.
"""

import argparse
import os

from aiohttp import ClientSession, ClientTimeout, web

URL = os.environ.get("WAVEGATE_URL", "http://127.0.0.1:8080")
KEY = os.environ.get("WAVEGATE_KEY", "")


def player_of(request: web.Request) -> str | None:
    """Who asks: check the game's own session here. None for nobody who may listen."""
    return request.headers.get("X-Player", "somebody")


async def ticket(request: web.Request) -> web.Response:
    if player_of(request) is None:
        raise web.HTTPForbidden
    try:
        stream_id = (await request.json())["stream_id"]
    except (ValueError, KeyError, TypeError):
        raise web.HTTPBadRequest(text='Send {"stream_id": "..."}.') from None
    wish = {"stream_id": stream_id, "allow": ["listen"], "uses": 1, "ttl_seconds": 60}
    # For players that ask many times (audio elements, HLS, VLC) say instead: "uses": 0, and as long as the song is.
    headers = {"Authorization": f"Bearer {KEY}"}
    async with (
        ClientSession(timeout=ClientTimeout(10)) as client,
        client.post(f"{URL}/v1/tickets", json=wish, headers=headers) as answer,
    ):
        return web.Response(status=answer.status, body=await answer.read(), content_type="application/json")


if __name__ == "__main__":
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--port", type=int, default=8090)
    app = web.Application()
    app.router.add_post("/ticket", ticket)
    web.run_app(app, host="127.0.0.1", port=arguments.parse_args().port)
