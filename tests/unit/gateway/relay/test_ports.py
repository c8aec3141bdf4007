"""Tests of the ports: each asks of the outside what the relay uses, and nothing else.

Invariant under test: every method of a port is called somewhere in the relay, and what stands on the other side has it.
It must not know what the methods do.
"""

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest

from gateway.cluster.cluster import RedisCluster
from gateway.cluster.logs import PublishedLog
from gateway.cluster.reading import Following
from gateway.quota.volatile import VolatileLedger
from gateway.relay import ports
from gateway.relay.feed import Feed
from tests.support.realm import FakeCluster, FakeFollowing, FakeLog
from tests.support.relay import Pipe, ScriptedLedger, ScriptedSource

PORTS = (ports.Source, ports.Ledger, ports.ListenerTransport, ports.Cluster, ports.Log, ports.Following)


def methods(port: type) -> set[str]:
    return {name for name in vars(port) if not name.startswith("_")}


@cache
def used_by_the_relay() -> set[str]:
    """Every attribute that a module of the relay, other than the ports, takes of anything."""
    folder = Path(inspect.getfile(ports)).parent
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in folder.glob("*.py") if path.name != "ports.py"]
    return {node.attr for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Attribute)}


@pytest.mark.parametrize("port", PORTS)
def test_a_port_has_only_what_the_relay_calls(port: type) -> None:
    """A method that the relay does not call is a burden on everybody who implements the port."""
    assert methods(port)
    assert methods(port) - used_by_the_relay() == set()


@pytest.mark.parametrize(
    ("port", "implementation"),
    [
        (ports.Source, ScriptedSource),
        (ports.Ledger, ScriptedLedger),
        (ports.Ledger, VolatileLedger),
        (ports.ListenerTransport, Pipe),
        (ports.Cluster, RedisCluster),
        (ports.Cluster, FakeCluster),
        (ports.Log, PublishedLog),
        (ports.Log, FakeLog),
        (ports.LogReader, Feed),
        (ports.Following, Following),
        (ports.Following, FakeFollowing),
    ],
)
def test_what_stands_on_the_other_side_has_every_method(port: type, implementation: type) -> None:
    """The ledger in memory and the fakes of these tests have the port's methods, with the port's arguments."""
    for name in methods(port):
        asked, given = getattr(port, name), getattr(implementation, name)
        if callable(asked):
            assert list(inspect.signature(given).parameters) == list(inspect.signature(asked).parameters)
            assert inspect.iscoroutinefunction(given) == inspect.iscoroutinefunction(asked)
