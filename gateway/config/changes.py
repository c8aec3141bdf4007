"""What differs between two configurations, and which of it a running gateway takes up.

Invariant: every key that differs is named once, by its path, either among those that are taken up or among those that
wait for the next start; no value is ever named. It must not know how a change is taken up.
"""

from dataclasses import dataclass
from typing import Any

from gateway.config.schema import Config
from gateway.config.section import keys_of


@dataclass(frozen=True, slots=True)
class Changes:
    """Paths of keys, such as server.port: those that hold from now on, and those that need a restart."""

    live: tuple[str, ...] = ()
    waiting: tuple[str, ...] = ()


def changes(old: Config, new: Config) -> Changes:
    """What is different in the new one."""
    live: list[str] = []
    waiting: list[str] = []

    def look(path: str, before: Any, after: Any, *, holds: bool) -> None:
        if before != after:
            (live if holds else waiting).append(path)

    # What began without TLS has none, and the other way round.
    tls = (old.server.tls_certificate_file is None) == (new.server.tls_certificate_file is None)
    for section in keys_of(Config):
        before, after = getattr(old, section.name), getattr(new, section.name)
        if section.many or section.item is None:
            look(section.name, before, after, holds=section.live)
            continue
        for key in keys_of(section.item):
            path = f"{section.name}.{key.name}"
            holds = key.live and (tls or not path.startswith("server.tls_"))
            look(path, getattr(before, key.name), getattr(after, key.name), holds=holds)
    return Changes(tuple(live), tuple(waiting))
