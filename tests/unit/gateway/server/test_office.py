"""Opening the ticket office: where its secrets come from, and when it does not open.

Invariant under test: tickets of one office are honoured by the next one that has the same secrets.
It must not know what tickets allow.
"""

from pathlib import Path

import pytest

from gateway.errors import AccessError, ServiceError, StartError
from gateway.model import TenantId
from gateway.quota.uses import MemoryUses
from gateway.server.office import opened
from gateway.server.tickets import Wanted


class Away(MemoryUses):
    """A store that is away."""

    async def secret(self, fresh: bytes) -> bytes:
        raise ServiceError("ledger_unavailable", "Away.")


async def test_a_file_or_the_store_keeps_the_secret(tmp_path: Path) -> None:
    """Either way the next office honours what the last one signed; an office of other secrets does not."""
    file, uses = tmp_path / "secrets", MemoryUses()
    file.write_text(40 * "s" + "\n")
    for where in (str(file), None):
        token = (await opened(where, uses)).mint(TenantId("acme"), Wanted()).token.reveal()
        assert (await opened(where, uses)).verify(token, None).tenant == "acme"
        with pytest.raises(AccessError):
            (await opened(None, MemoryUses())).verify(token, None)


async def test_without_a_secret_it_does_not_open() -> None:
    """The message names the key that is the way out."""
    with pytest.raises(StartError, match=r"server\.ticket_secret_file"):
        await opened(None, Away())
