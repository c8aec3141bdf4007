"""A client that goes while its request waits for its turn: nobody is told that it was the gateway's fault.

Invariant under test: what such a one was asked about is refused with the code of a request that did not come.
It must not know what was asked for.
"""

import asyncio

import pytest
from aiohttp.base_protocol import BaseProtocol
from aiohttp.streams import StreamReader
from aiohttp.test_utils import make_mocked_request

from gateway.errors import RequestError
from gateway.server.rest import whole_body


async def test_a_body_whose_client_is_gone_is_not_waited_for() -> None:
    """To aiohttp it would be a fault of ours."""
    loop = asyncio.get_running_loop()
    request = make_mocked_request("POST", "/v1/streams", payload=StreamReader(BaseProtocol(loop), 1024, loop=loop))
    request.protocol.transport = None
    with pytest.raises(RequestError) as refused:
        await whole_body(request, 1.0)
    assert refused.value.code == "request_timeout"
