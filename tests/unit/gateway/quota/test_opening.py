"""Tests of addresses of stores: what they lead to, and what is refused.

Invariant under test: relative and absolute paths are told apart as other programs do, and no address is repeated.
It must not open more than files of its own.
"""

from pathlib import Path

import pytest

from gateway.errors import ServiceError, StartError
from gateway.quota.ledger import Ledger
from gateway.quota.opening import ledger_at
from gateway.quota.sqlite import SqliteLedger
from gateway.quota.standby import StandbyLedger
from gateway.quota.volatile import VolatileLedger
from tests.support.ledger import FREE, PRICES, RULES, Time


def at(address: str) -> Ledger:
    return ledger_at(address, lambda _: FREE, RULES, PRICES, now=Time())


def test_memory() -> None:
    """Nothing is written anywhere."""
    assert isinstance(at("memory:"), VolatileLedger)


@pytest.mark.parametrize("absolute", [True, False])
async def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, absolute: bool) -> None:
    """Three slashes are relative to where the program was started, four are not."""
    monkeypatch.chdir(tmp_path)
    ledger = at(f"sqlite:///{tmp_path / 'usage.db'}" if absolute else "sqlite:///usage.db")
    assert isinstance(ledger, SqliteLedger)
    assert not list(tmp_path.iterdir())
    await ledger.open()
    await ledger.close()
    assert [path.name for path in tmp_path.iterdir()] == ["usage.db"]


@pytest.mark.parametrize("address", ["redis://127.0.0.1:1", "redis://user:word@127.0.0.1:1/3", "rediss://127.0.0.1:1"])
async def test_redis(address: str) -> None:
    """Shared, with a connection of its own; one that may go on alone is asked for, and starts without the server."""
    ledger = at(address)
    assert isinstance(ledger, StandbyLedger)
    with pytest.raises(ServiceError, match="does not answer"):
        await ledger.open()
    other = ledger_at(address, lambda _: FREE, RULES, PRICES, alone=True)
    await other.open()
    await other.close()


@pytest.mark.parametrize("address", ["redis://user:sesame@host:port", "redis://user:sesame@host:99999999"])
def test_redis_nowhere(address: str) -> None:
    """What is no address is refused at the start, without its password."""
    with pytest.raises(StartError, match="redis://") as refusal:
        at(address)
    assert "sesame" not in str(refusal.value)


@pytest.mark.parametrize("address", ["sqlite:///", "redis:host", "memcached://user:word@host", "usage.db", ""])
def test_others(address: str) -> None:
    """They are refused at the start, and not repeated: they may hold a password."""
    with pytest.raises(StartError, match="memory:, sqlite:///FILE or redis://HOST") as refusal:
        at(address)
    assert "word" not in str(refusal.value)
