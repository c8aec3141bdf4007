"""The section `server`: where the gateway listens, and what it grants whoever comes.

Invariant: whatever a stranger can send or hold has a bound here, with its reason in the sentence that documents it.
Times are seconds, sizes are bytes. It must not know how a bound is kept.
"""

from typing import Annotated, Literal

from msgspec import field

from gateway.config.kinds import (
    LIVE,
    SECRET,
    AtLeastOne,
    Count,
    Network,
    Port,
    Seconds,
    SecondsOrNever,
)
from gateway.config.section import Section


class Server(Section, frozen=True):
    """Where the gateway listens and what it grants a connection."""

    host: Annotated[str, "Address of the public port: REST, WebSocket and the player page."] = "127.0.0.1"
    port: Annotated[Port, "Public port; 0 takes a free one."] = 8080
    internal_host: Annotated[str, "Address of the internal port: metrics and health. Never make it public."] = (
        "127.0.0.1"
    )
    internal_port: Annotated[Port, "Internal port; 0 takes a free one."] = 9464
    workers: Annotated[AtLeastOne, "Processes on the public port; more than one needs cluster.redis_url."] = 1
    max_connections: Annotated[
        Count,
        "Connections to the public port at once; more are told to come back later. 0 is what open files allow.",
    ] = 20000
    max_memory_bytes: Annotated[
        Count | None,
        "Resident memory past which nothing new is taken, while all who listen hear on; null is 85 % of what the "
        "container or machine has, 0 is no mark.",
    ] = None
    max_connections_per_address: Annotated[
        Count,
        "Connections from one address at once, of IPv6 from one /64, in each process; more are answered with 429. "
        "0 is no limit. Many players may share an address: a school, an office, a mobile network. trusted_proxies and "
        "this machine itself have no such limit; behind a proxy that is not named there, every client has its address.",
    ] = 1000
    connections_per_minute_per_address: Annotated[
        Count, "New connections from one address in a minute, all of which may come at once; 0 is no limit."
    ] = 3000
    requests_per_minute_per_address: Annotated[
        Count,
        "Requests from one address, of which those of ten seconds may come at once; 0 is no limit. A player of HLS "
        "makes about 120 a minute.",
    ] = 60000
    bad_credentials_per_minute_per_address: Annotated[
        Count,
        "Wrong keys and tickets from one address that are answered with 401; past them with 429, and the connection "
        "ends. A good one is honoured at any time, so that nobody is shut out by a neighbour. 0 is no limit.",
    ] = 60
    handshake_timeout: Annotated[
        Seconds, "How long a new connection may take until its first request is there, and a request until its body is."
    ] = 10.0
    authentication_timeout: Annotated[Seconds, "How long a WebSocket may stay open before it has said who it is."] = 5.0
    ticket_secret_file: Annotated[
        str | None,
        "File with secrets that sign tickets, one a line of 32 characters or more: the first signs, all are honoured. "
        "null is one that the store of quota.store makes and keeps.",
        SECRET,
    ] = None
    session_lifetime: Annotated[
        Seconds,
        "Longest life of a WebSocket session; then it is closed with 4201, and its client connects again. A player of "
        "HLS is let in anew then.",
    ] = 86400.0
    max_message_bytes: Annotated[
        AtLeastOne,
        "Largest WebSocket message or request body a client may send; more closes with 1009 or answers 413.",
    ] = 65536
    max_url_bytes: Annotated[AtLeastOne, "Longest address of a request, with its query; more is answered with 414."] = (
        8190
    )
    max_header_bytes: Annotated[
        AtLeastOne, "Largest head of a request, all its headers and its first line together; more is answered with 431."
    ] = 16384
    frames_per_minute: Annotated[
        Count,
        "WebSocket frames from one client, of which those of ten seconds may come at once: messages, their fragments, "
        "pings and pongs alike; more close with 4101. 0 is no limit.",
    ] = 6000
    idle_timeout: Annotated[
        SecondsOrNever,
        "A WebSocket session that hears nothing and says nothing for this long, and up to twice as long, is closed "
        "with 1000; 0 is never.",
    ] = 3600.0
    ping_interval: Annotated[Seconds, "Time between WebSocket pings, from one timer for all."] = 20.0
    ping_timeout: Annotated[Seconds, "A WebSocket that has answered no ping for this long is gone."] = 40.0
    drain_timeout: Annotated[
        Seconds,
        "At the first Ctrl-C or SIGTERM: how long running streams and their listeners may finish before the gateway "
        "stops.",
    ] = 30.0
    drain_delay: Annotated[
        SecondsOrNever,
        "How long before that /readyz says so while all is still taken, for a balancer that needs its time to notice.",
    ] = 0.0
    tls_certificate_file: Annotated[
        str | None,
        "File with the certificate of the public port and its chain (PEM); null is no TLS. It is read again when it "
        "changes, as the next two are; a bad one is refused, and the old one kept.",
        LIVE,
    ] = None
    tls_key_file: Annotated[str | None, "File with the certificate's private key (PEM).", SECRET, LIVE] = None
    tls_passphrase_file: Annotated[str | None, "File with the passphrase of that key, if it has one.", SECRET, LIVE] = (
        None
    )
    trusted_proxies: Annotated[
        list[Network],
        "Addresses and networks of the proxies in front: what these say of a client is believed, and nobody else.",
        LIVE,
    ] = field(default_factory=list)
    proxy_headers: Annotated[
        Literal["x-forwarded", "forwarded"],
        "How they say it: X-Forwarded-For, -Proto and -Host, or Forwarded. The other kind is a client's own, and "
        "ignored. Have the proxy set all of them.",
        LIVE,
    ] = "x-forwarded"
    proxy_protocol: Annotated[
        bool, "Connections from trusted_proxies begin with a PROXY header, version 1 or 2 (HAProxy, AWS NLB)."
    ] = False
