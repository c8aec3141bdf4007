"""Certificates for tests: an authority of the test's own, what it issues, and clients that trust it and nobody else.

Invariant: every certificate is a real one, written to real files; nothing is valid outside of the test.
It must not test anything itself.
"""

import ssl
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import trustme


@dataclass
class Authority:
    """Writes certificates for this machine into a folder."""

    folder: Path
    _ca: trustme.CA = field(default_factory=trustme.CA)

    @property
    def trusted(self) -> ssl.SSLContext:
        """What a client trusts."""
        context = ssl.create_default_context()
        self._ca.configure_trust(context)
        return context

    def write_trusted(self, path: Path) -> None:
        """The authority's own certificate, for clients that take a file."""
        self._ca.cert_pem.write_to_path(str(path))

    def issue(self, name: str = "server", not_after: datetime | None = None, host: str = "127.0.0.1") -> "Papers":
        """A new one, written over what had this name before."""
        issued = self._ca.issue_cert(host, "localhost", not_after=not_after)
        papers = Papers(self.folder / f"{name}.pem", self.folder / f"{name}.key")
        papers.key.write_bytes(issued.private_key_pem.bytes())
        papers.certificate.write_bytes(b"".join(blob.bytes() for blob in issued.cert_chain_pems))
        return papers


@dataclass(frozen=True)
class Papers:
    """Where a certificate with its chain, and its key, are."""

    certificate: Path
    key: Path

    def config(self) -> dict[str, Any]:
        """The keys of the section `server`."""
        return {"tls_certificate_file": str(self.certificate), "tls_key_file": str(self.key)}
