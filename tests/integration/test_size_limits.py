"""The sizes that the configuration grants a client, each at its border, over real sockets.

Invariant under test: what is as large as it may be is read and answered, what is one octet larger has the documented
code, and ends the connection where reading on would be reading on for ever. It must not know who counts.
"""

import json

import pytest
from websockets.exceptions import ConnectionClosed

from gateway.config.server import Server
from tests.support.gateway import KEY, Bench, bench, receive, talk
from tests.support.server import exchange

USUAL = Server(port=0, internal_port=0)
SMALL = Server(port=0, internal_port=0, max_url_bytes=150, max_header_bytes=700, max_message_bytes=300)
BOTH = pytest.mark.parametrize("server", [USUAL, SMALL], ids=["as usual", "small"])
WHO = f"Host: x\r\nConnection: close\r\nAuthorization: Bearer {KEY}\r\n"


async def asked(gateway: Bench, said: str) -> tuple[int, str | None]:
    """The status, and the code of a refusal."""
    head, body = await exchange(int(gateway.url.rpartition(":")[2]), said.encode())
    document = json.loads(body)
    return int(head.split()[1]), document["error"]["code"] if "error" in document else None


def padded(said: str, size: int, word: str = "x") -> str:
    """With so many words in place of the mark that it has this size."""
    return said.replace("*", word * (size - len(said) + 1))


@BOTH
async def test_the_longest_address(server: Server) -> None:
    """With its query."""
    async with bench(server=server) as gateway:
        for more, expected in ((0, (404, "not_found")), (1, (414, "address_too_long"))):
            address = padded("/v1/nothing?about=*", server.max_url_bytes + more)
            assert await asked(gateway, f"GET {address} HTTP/1.1\r\n{WHO}\r\n") == expected


@BOTH
async def test_the_largest_head(server: Server) -> None:
    """From its first octet to the empty line, in one header and in many."""
    async with bench(server=server) as gateway:
        for more, expected in ((0, (200, None)), (1, (431, "headers_too_large"))):
            size = server.max_header_bytes + more
            assert await asked(gateway, padded(f"GET /v1/streams HTTP/1.1\r\n{WHO}X-A: *\r\n\r\n", size)) == expected
            said = f"GET /v1/streams HTTP/1.1\r\n{WHO}" + 10 * "X-A: b\r\n" + "X-B: *\r\n\r\n"
            assert await asked(gateway, padded(said, size)) == expected


@BOTH
async def test_the_largest_body(server: Server) -> None:
    """An order that is too short to be sung, or too large to be read; told before, or found out."""
    async with bench(server=server) as gateway:
        for more, expected in ((0, (400, "invalid_json")), (1, (413, "message_too_big"))):
            body = "x" * (server.max_message_bytes + more)
            head = f"POST /v1/streams HTTP/1.1\r\n{WHO}Content-Type: application/json\r\n"
            assert await asked(gateway, f"{head}Content-Length: {len(body)}\r\n\r\n{body}") == expected
            chunked = f"{head}Transfer-Encoding: chunked\r\n\r\n{len(body):x}\r\n{body}\r\n0\r\n\r\n"
            assert await asked(gateway, chunked) == expected


@BOTH
async def test_the_largest_message(server: Server) -> None:
    """In one frame and in fragments: answered, or 1009."""
    async with bench(server=server) as gateway:
        for fragments in (1, 3):
            async with talk(gateway) as line:
                message = padded('{"type": "ping", "t": "*"}', server.max_message_bytes)
                step = -(-len(message) // fragments)
                await line.send([message[at : at + step] for at in range(0, len(message), step)])
                assert len((await receive(line))["t"]) > 200
                larger = message.replace("xx", "xxx", 1)
                await line.send([larger[at : at + step] for at in range(0, len(larger), step)])
                with pytest.raises(ConnectionClosed) as closed:
                    await receive(line)
                assert closed.value.rcvd is not None
                assert closed.value.rcvd.code == 1009
