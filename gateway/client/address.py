"""Where the gateway's WebSocket door is, from the address that a user wrote.

Invariant: only http, https, ws and wss addresses with a host get through; a path in front of /v1/ws is kept, because
gateways stand behind reverse proxies. It must not know whether anybody answers there.
"""

from ipaddress import ip_address
from urllib.parse import urlsplit

from gateway.client.errors import ClientError

_SCHEMES = {"http": "ws", "ws": "ws", "https": "wss", "wss": "wss"}
_DOOR = "/v1/ws"


def door(server: str) -> str:
    """The ws:// or wss:// address of the door. Raises ClientError `invalid_server`."""
    try:
        parts = urlsplit(server.strip())
        scheme, host, port = _SCHEMES.get(parts.scheme), parts.hostname, parts.port
    except ValueError:  # a port that is no number, or half an IPv6 address
        raise _invalid(server) from None
    if scheme is None or not host or parts.query or parts.fragment or parts.username is not None:
        raise _invalid(server)
    if any(character.isspace() for character in parts.netloc + parts.path):
        raise _invalid(server)
    path = parts.path.rstrip("/").removesuffix(_DOOR)
    netloc = f"[{host}]" if ":" in host else host
    return f"{scheme}://{netloc}{'' if port is None else f':{port}'}{path}{_DOOR}"


def is_loopback(url: str) -> bool:
    """Whether this machine itself is meant: no proxy stands between a program and its own machine."""
    host = urlsplit(url).hostname or ""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _invalid(server: str) -> ClientError:
    # An address with a password in it is not repeated: the sentence may end up in a log.
    shown = "" if "@" in server else f", not {server.strip()!r}"
    return ClientError(
        "invalid_server", f"A server is an address such as http://127.0.0.1:8080 or https://music.example{shown}."
    )
