"""The certificate of the public port: read from its files, taken up anew when they change, and when it ends.

Invariant: a certificate that cannot be used never takes the place of one that can; what is wrong with it is a sentence
that names the file and nothing in it. Connections keep the one they began with. Nobody is ever asked for a passphrase
at a terminal. It must not know what is served under it.
"""

import asyncio
import logging
import os
import re
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from gateway.config.secret import shown_path
from gateway.config.server import Server
from gateway.errors import StartError
from gateway.log import event as log_event

logger = logging.getLogger("wavegate.tls")

LOOK_SECONDS = 5.0
_MOST_BYTES = 1 << 20
_READ_SECONDS = 10.0
_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


class CertificateError(ValueError):
    """The files cannot be used; the message is for whoever runs the gateway."""


@dataclass(frozen=True, slots=True)
class Files:
    """Where certificate, key and perhaps the key's passphrase are."""

    certificate: str
    key: str
    passphrase: str | None = None

    @classmethod
    def of(cls, server: Server) -> "Files | None":
        """None where the public port has no TLS."""
        if server.tls_certificate_file is None or server.tls_key_file is None:
            return None
        return cls(server.tls_certificate_file, server.tls_key_file, server.tls_passphrase_file)

    def state(self) -> tuple[object, ...]:
        """What is different when one of them has changed. Asks the disk."""
        found: list[object] = []
        for path in (self.certificate, self.key, self.passphrase):
            try:
                about = os.stat(path) if path is not None else None
                found.append((about.st_ino, about.st_mtime_ns, about.st_size) if about is not None else None)
            except OSError as error:
                found.append(error.errno)
        return tuple(found)


@dataclass(frozen=True, slots=True)
class Certificate:
    """One that can be used; `not_after` is the Unix time of its end."""

    context: ssl.SSLContext
    not_after: float


def read_certificate(files: Files) -> Certificate:
    """Reads the disk. Raises CertificateError."""
    name, key_name = shown_path(files.certificate), shown_path(files.key)
    text = _text(files.certificate)
    found = _PEM.search(text)
    try:
        if found is None:
            raise ValueError
        not_after = end_of(ssl.PEM_cert_to_DER_cert(found[0]))
    except (ValueError, IndexError):
        raise CertificateError(f"{name} holds no certificate in PEM") from None
    _text(files.key)
    passphrase = _text(files.passphrase).rstrip("\r\n") if files.passphrase is not None else ""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    context.set_alpn_protocols(["http/1.1"])
    try:
        # Without an answer OpenSSL would ask at the terminal.
        context.load_cert_chain(files.certificate, files.key, password=lambda: passphrase)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise CertificateError(f"{key_name} is not the key of the certificate in {name}") from None
        secret = "with this passphrase" if files.passphrase is not None else "in PEM, without a passphrase"
        raise CertificateError(f"{name} or {key_name} cannot be used as a certificate and its key {secret}") from None
    except (OSError, ValueError):
        # ValueError: a passphrase that is too long.
        raise CertificateError(f"{name} and {key_name} cannot be used as a certificate and its key") from None
    return Certificate(context, not_after)


def _text(path: str) -> str:
    name, file = shown_path(path), Path(path)
    try:
        # A pipe would hold the thread; a wrong path could be anything.
        if not file.is_file() or file.stat().st_size > _MOST_BYTES:
            raise CertificateError(f"{name} is not there, or not a file of at most {_MOST_BYTES} bytes")
        return file.read_text("ascii", "replace")
    except (OSError, ValueError) as error:
        if isinstance(error, CertificateError):
            raise
        raise CertificateError(f"{name} cannot be read") from None


def end_of(der: bytes) -> float:
    """The Unix time at which an X.509 certificate ends (RFC 5280, 4.1). Raises ValueError, IndexError."""
    _, certificate, _ = _element(der)
    _, fields, _ = _element(certificate)
    tag, _, rest = _element(fields)
    if tag == 0xA0:  # the version, which the oldest have not
        _, _, rest = _element(rest)  # the serial number
    _, _, rest = _element(rest)  # the signature's kind
    _, _, rest = _element(rest)  # the issuer
    _, validity, _ = _element(rest)
    _, _, rest = _element(validity)
    tag, end, _ = _element(rest)
    text = end.decode("ascii")
    if tag == 0x17:  # UTCTime: two digits of the year
        text = f"{'20' if int(text[:2]) < 50 else '19'}{text}"
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _element(data: bytes) -> tuple[int, bytes, bytes]:
    """The first element of DER: its tag, what is in it, and what stands behind it."""
    size, start = data[1], 2
    if size & 0x80:
        start = 2 + (size & 0x7F)
        size = int.from_bytes(data[2:start], "big")
    if len(data) < start + size:
        raise ValueError("cut off")
    return data[0], data[start : start + size], data[start + size :]


class Certificates:
    """The certificate in force; `told` hears when it ends."""

    def __init__(self, files: Files, told: Callable[[float], None], wall: Callable[[], float] = time.time) -> None:
        self._files = files
        self._told = told
        self._wall = wall
        self._state: tuple[object, ...] = ()
        self._changing = asyncio.Lock()
        self._now: Certificate

    @classmethod
    async def opened(
        cls, server: Server, told: Callable[[float], None], wall: Callable[[], float] = time.time
    ) -> "Certificates | None":
        """With the first one, which has to be good, though it may have ended. None without TLS. Raises StartError."""
        files = Files.of(server)
        if files is None:
            return None
        found = cls(files, told, wall)
        found._state = await asyncio.to_thread(files.state)
        try:
            found._use(await asyncio.to_thread(read_certificate, files))
        except CertificateError as error:
            raise StartError(f"server.tls_certificate_file: {error}.") from None
        if found._now.not_after <= wall():
            log_event(logger, "certificate.ended", at=_moment(found._now.not_after))
        return found

    def current(self) -> ssl.SSLContext:
        """For whoever connects now."""
        return self._now.context

    async def run(self) -> None:
        """For ever: takes up what has changed."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await self.look()

    async def look(self) -> None:
        """Reads the files again, if they have changed since the last time."""
        if await asyncio.to_thread(self._files.state) != self._state:
            await self.reload()

    async def reload(self, files: Files | None = None) -> bool:
        """Takes up what is in the files now, or in other ones; False where that cannot be used, as the log says."""
        async with self._changing:
            files = files or self._files
            # Before it is read: what is written meanwhile is a change again.
            state = await asyncio.to_thread(files.state)
            try:
                async with asyncio.timeout(_READ_SECONDS):
                    found = await asyncio.to_thread(read_certificate, files)
                if found.not_after <= self._wall() < self._now.not_after:
                    raise CertificateError(f"the one in {shown_path(files.certificate)} has ended")
            except (CertificateError, TimeoutError) as error:
                self._state = state if files == self._files else self._state
                reason = str(error) or "reading takes too long"
                log_event(logger, "certificate.refused", reason=reason)
                return False
            self._files, self._state = files, state
            self._use(found)
            log_event(logger, "certificate.used", until=_moment(found.not_after))
            return True

    def _use(self, certificate: Certificate) -> None:
        self._now = certificate
        self._told(certificate.not_after)


def _moment(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).isoformat()
