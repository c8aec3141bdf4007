"""Loading the configuration: defaults < YAML file < environment < flags, checked as a whole.

Invariant: either a complete `Config` or a `ConfigError` with every mistake of every layer; a mistake in a layer is one
even where a later layer would cover it. Nothing is read from the process itself: file, environment and flags are
handed in, so that a reload is the same call again. It must not know what a setting is used for.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from gateway.config.convert import Converter, build
from gateway.config.reader import parse
from gateway.config.schema import Config
from gateway.config.secret import key_id, redact
from gateway.config.server import Server

# Two underscores, also in front: orchestrators put WAVEGATE_PORT and its like into the environment by themselves.
ENVIRONMENT_PREFIX = "WAVEGATE__"


class ConfigError(ValueError):
    """The configuration cannot be used. `problems` holds a sentence for each mistake, the path of its key first."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Loaded:
    """A configuration that can be used, and sentences for whoever runs it about what is hardly meant so."""

    config: Config
    warnings: list[str] = field(default_factory=list)


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any] | None = None) -> Loaded:
    """The configuration from the file at `path` (None: no file), the environment and flags, later ones winning.

    Variables are named WAVEGATE__SECTION__KEY and hold a YAML value. Names in `overrides` are dotted (`server.port`)
    or nested; an override of None means null. Lists are replaced, never joined. Raises ConfigError.
    """
    problems: list[str] = []
    values: dict[str, Any] = {}
    for value, origin in _layers(path, environ, overrides or {}, problems):
        _merge(values, Converter(problems, origin).section(Config, value))
    config = build(Config, values)
    problems += _cross_check(config)
    if problems:
        # Keys of mappings and of YAML's own sentences are words of the file as well.
        raise ConfigError([redact(problem) for problem in problems])
    return Loaded(config, list(_advice(config)))


def _layers(
    path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, Any], problems: list[str]
) -> Iterator[tuple[Any, str]]:
    if path is not None:
        text = _read(path, problems)
        value, mistakes = parse(text)
        problems += mistakes
        yield value, ""
    # By length, so that a variable for one key wins over a variable for its whole section.
    for name in sorted(environ, key=lambda name: (name.count("__"), name)):
        if name.startswith(ENVIRONMENT_PREFIX):
            value, mistakes = parse(environ[name])
            problems += [f"{name}: {mistake}" for mistake in mistakes]
            if not mistakes:
                yield _nested(name.removeprefix(ENVIRONMENT_PREFIX).lower().split("__"), value), f" (from {name})"
    for dotted, value in overrides.items():
        yield _nested(dotted.split("."), value), " (from the command line)"


def _read(path: Path, problems: list[str]) -> str:
    try:
        # The mark that some editors put in front of UTF-8 is not part of the text.
        return path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        problems.append(f"{path}: the file does not exist")
    except IsADirectoryError:
        problems.append(f"{path}: is a directory, not a file")
    except OSError as error:
        problems.append(f"{path}: cannot be read: {error.strerror}")
    except UnicodeDecodeError as error:
        problems.append(f"{path}: is not UTF-8 text, at byte {error.start}")
    return ""


def _nested(names: list[str], value: Any) -> Any:
    for name in reversed(names):
        value = {name: value}
    return value


def _merge(values: dict[str, Any], later: Mapping[str, Any]) -> None:
    for name, value in later.items():
        if isinstance(value, dict) and isinstance(values.get(name), dict):
            _merge(values[name], value)
        else:
            values[name] = value


def _cross_check(config: Config) -> Iterator[str]:
    """What no key can see alone."""
    server, upstream = config.server, config.upstream
    if server.port and server.port == server.internal_port and server.host == server.internal_host:
        yield f"server.internal_port: must not be server.port on the same address, got {server.internal_port}"
    if config.cluster.redis_url is None and server.workers > 1:
        yield (
            "server.workers: more than one process needs cluster.redis_url, such as redis://127.0.0.1:6379/0; "
            f"without it it must be 1, got {server.workers}"
        )
    yield from _check_front(server)
    yield from _check_base_url(upstream.base_url)
    yield from _check_tickets(config)
    tenants: dict[str, int] = {}
    keys: dict[str, str] = {}
    for index, tenant in enumerate(config.tenants):
        # A tenant without a usable id has an empty one here: that mistake is known already.
        if tenant.id and tenants.setdefault(tenant.id, index) != index:
            yield f"tenants[{index}].id: is the id of tenants[{tenants[tenant.id]}] already, got {tenant.id!r}"
        for place, hashed in enumerate(tenant.keys):
            here = f"tenants[{index}].keys[{place}]"
            if keys.setdefault(hashed, here) != here:
                yield f"{here}: is the same key as {keys[hashed]}, got the hash that begins with {key_id(hashed)}"


def _check_front(server: Server) -> Iterator[str]:
    """TLS, and the proxies in front."""
    certificate, key = server.tls_certificate_file, server.tls_key_file
    if (certificate is None) != (key is None):
        missing = "server.tls_key_file" if key is None else "server.tls_certificate_file"
        yield f"{missing}: is needed as well, since TLS takes a certificate and its key"
    if server.tls_passphrase_file is not None and key is None:
        yield "server.tls_passphrase_file: goes with server.tls_key_file, which is not set"
    for index, network in enumerate(server.trusted_proxies):
        try:
            ip_network(network, strict=False)
        except ValueError:
            yield f"server.trusted_proxies[{index}]: must be an address or a network, got {network!r}"
    if server.proxy_protocol and not server.trusted_proxies:
        yield "server.proxy_protocol: needs server.trusted_proxies, whose connections begin with that header"


def _check_base_url(url: str) -> Iterator[str]:
    named = False
    try:
        parts = urlsplit(url)
        usable, named = bool(parts.hostname) and parts.port != 0, "@" in parts.netloc
    except ValueError:
        usable = False
    if not usable:
        yield f"upstream.base_url: must have a host and, if it has a port, a real one, got {redact(url)!r}"
    elif named:
        # They would go along with each call, in place of the provider's key.
        yield f"upstream.base_url: must be without a name and a password, got {redact(url)!r}"


def _check_tickets(config: Config) -> Iterator[str]:
    if config.server.ticket_secret_file and config.quota.store == "memory:" and config.cluster.redis_url is None:
        yield (
            "server.ticket_secret_file: needs a quota.store that is not memory:, or cluster.redis_url, since after a "
            "restart nobody would know which tickets have been used"
        )


def _advice(config: Config) -> Iterator[str]:
    for index, tenant in enumerate(config.tenants):
        if not tenant.keys:
            yield f"tenants[{index}].keys: is empty, so nobody can use this tenant"
    if config.upstream.workspace_id is None and _in_the_clear(config.upstream.base_url):
        yield "upstream.base_url: is http, so whoever is on the way to there reads the provider's key; use https"


def _in_the_clear(url: str) -> bool:
    """Whether what is sent there can be read on the way: by http, and not to this machine or a closed network."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    try:
        private = ip_address(host).is_private
    except ValueError:
        # A name without a dot is one that a container, or a network of one's own, has given.
        private = "." not in host or host.endswith((".localhost", ".internal", ".local"))
    return parts.scheme == "http" and not private
