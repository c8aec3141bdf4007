"""A peer: a fan-out server that Wavegate is measured beside, and what is told of one that runs.

Invariant: a WebSocket peer sends everybody, each `period` seconds, one binary message of exactly `size` bytes that
begins with our frame's header; an HTTP peer sends everybody `size` bytes of MP3 each `period`. Whatever a peer starts
ends with its context. It must not know which peers there are.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Literal

HOST, PATH = "127.0.0.1", "/live"


@dataclass(frozen=True, slots=True)
class RunningPeer:
    """Where listeners come in, and the processes whose processor time counts: who feeds the peer is not among them."""

    url: str
    pids: Sequence[int]


class Peer(ABC):
    """`title` is what a table calls it, `door` how its listeners come in."""

    name: str
    title: str
    door: Literal["websocket", "http"] = "websocket"

    @abstractmethod
    def missing(self) -> str | None:
        """Why it cannot run here, as a short phrase; None if it can. Starts nothing."""

    @abstractmethod
    def start(self, size: int, period: float, cpu: int | None) -> AbstractAsyncContextManager[RunningPeer]:
        """Runs it, its server on this processor alone, if `cpu` is one. Raises BenchError when it does not start."""
