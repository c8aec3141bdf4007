"""The file that a finished song's url points to.

Invariant: nothing is fetched from a host that is not on the operator's list, at any step of a redirect, and no
credential goes along: the url comes from outside, and this process stands inside somebody's network.
It must not know the provider's key or its JSON.
"""

import re
from collections.abc import AsyncGenerator, Sequence
from fnmatch import fnmatchcase

import aiohttp
from aiohttp.helpers import is_ip_address
from yarl import URL

from gateway.errors import UpstreamError
from gateway.upstream.body import Body, soon, until

MAX_BYTES = 256 * 1024 * 1024
_MAX_REDIRECTS = 3
_DEFAULT_PORTS = (80, 443)
_VISIBLE = re.compile(r"[!-~]+")


def permitted(url: str, hosts: Sequence[str], own: str | None = None) -> URL:
    """The url, if it is plain http(s) to a listed host; else UpstreamError `upstream_refused`.

    A pattern without a port (`*.aliyuncs.com`) stands for the default ports; `127.0.0.1:*` names them. An address is
    listed by a pattern that begins as it does, and by `*` only the provider's `own`.
    """
    try:
        # Signed urls must stay as they are written: decoding and encoding again would break the signature.
        target = URL(url, encoded=True) if _VISIBLE.fullmatch(url) else URL()
        host, port = (target.raw_host or "").lower().rstrip("."), target.port
    except ValueError:
        target, host, port = URL(), "", None
    names = [f"{host}:{port}", *([host] if port in _DEFAULT_PORTS else [])]
    listed = any(
        fnmatchcase(name, pattern.lower()) and (host == own or not is_ip_address(host) or pattern[:1] == host[0])
        for name in names
        for pattern in hosts
    )
    if not host or target.scheme not in ("http", "https") or target.raw_user is not None or not listed:
        raise UpstreamError(
            "upstream_refused",
            "The provider's result is on a host that the gateway may not fetch from. "
            "The operator must check upstream.audio_hosts.",
        )
    return target


def written_out(host: str, hosts: Sequence[str]) -> bool:
    """Whether the operator has listed this very host, and not one of many by a pattern."""
    names = {pattern.rpartition(":")[0] or pattern for pattern in hosts} | set(hosts)
    return host.lower().rstrip(".") in {name.lower() for name in names}


async def fetch(
    session: aiohttp.ClientSession,
    url: str,
    hosts: Sequence[str],
    *,
    connect: float,
    idle: float,
    own: str | None = None,
) -> AsyncGenerator[bytes]:
    """The file's bytes as they come, `own` being the host that the provider is called at.

    Raises UpstreamError, and aiohttp's own errors for what befalls the connection.
    """
    limits = aiohttp.ClientTimeout(total=None, connect=connect)
    target = permitted(url, hosts, own)
    for _ in range(_MAX_REDIRECTS + 1):
        async with until(soon(idle), f"did not send its result within {idle:g} seconds"):
            response = await session.get(
                target, allow_redirects=False, timeout=limits, headers={"Accept-Encoding": "identity"}
            )
        try:
            location = response.headers.get("Location")
            if response.status in (301, 302, 303, 307, 308) and location:
                target = permitted(_joined(target, location), hosts, own)
                continue
            if response.status != 200:
                raise UpstreamError(
                    "upstream_failed", f"The provider's result could not be fetched (status {response.status})."
                )
            body = Body(response, soon(idle), idle)
            received = 0
            while data := await body.read():
                received += len(data)
                if received > MAX_BYTES:
                    raise UpstreamError("upstream_protocol", f"The provider's result is over {MAX_BYTES} bytes.")
                yield data
            return
        finally:
            response.close()
    raise UpstreamError("upstream_failed", f"The provider's result was redirected more than {_MAX_REDIRECTS} times.")


def _joined(base: URL, location: str) -> str:
    try:
        return str(base.join(URL(location, encoded=True)))
    except ValueError:
        return ""
