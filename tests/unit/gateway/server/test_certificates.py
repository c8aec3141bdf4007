"""Certificates and their files: good ones, all kinds of bad ones, and what happens when they change under a gateway.

Invariant under test: a bad one never takes the place of a good one, and the log says why without a word of the key.
It must not know what is served under them; real certificates, made here, by a real authority.
"""

import asyncio
import logging
import os
import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization

from gateway.config.server import Server
from gateway.errors import StartError
from gateway.server import certificates as certificates_module
from gateway.server.certificates import CertificateError, Certificates, Files, end_of, read_certificate
from tests.support.certificates import Authority, Papers
from tests.support.server import soon

PASSPHRASE = "a passphrase that nobody types"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def files(papers: Papers, passphrase: Path | None = None) -> Files:
    return Files(str(papers.certificate), str(papers.key), str(passphrase) if passphrase is not None else None)


def encrypted(papers: Papers) -> None:
    """Puts the key under the passphrase."""
    key = serialization.load_pem_private_key(papers.key.read_bytes(), None)
    papers.key.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.BestAvailableEncryption(PASSPHRASE.encode()),
        )
    )


def known(papers: Papers) -> x509.Certificate:
    """The certificate as another library reads it."""
    return x509.load_pem_x509_certificates(papers.certificate.read_bytes())[0]


# -- reading -----------------------------------------------------------------------------------------------------------


def test_without_files_there_is_no_tls() -> None:
    """Both are needed."""
    assert Files.of(Server()) is None
    assert Files.of(Server(tls_certificate_file="c")) is None
    assert Files.of(Server(tls_certificate_file="c", tls_key_file="k")) == Files("c", "k")


def test_a_good_one_is_for_tls_of_today(authority: Authority) -> None:
    """From 1.2 on, HTTP/1.1 and nothing else; its end is the one that another library reads."""
    papers = authority.issue()
    found = read_certificate(files(papers))
    assert found.context.minimum_version is ssl.TLSVersion.TLSv1_2
    assert found.context.options & ssl.OP_NO_RENEGOTIATION
    assert found.not_after == known(papers).not_valid_after_utc.timestamp()


@pytest.mark.parametrize("year", [2049, 2050, 2120])
def test_ends_of_either_way_to_write_them(authority: Authority, year: int) -> None:
    """From 2050 on years have four digits."""
    end = datetime(year, 2, 28, 23, 59, 58, tzinfo=UTC)
    assert read_certificate(files(authority.issue(not_after=end))).not_after == end.timestamp()


def test_a_certificate_of_the_first_version_has_an_end(authority: Authority) -> None:
    """It has no version, and dates of the last century are dates."""

    def element(tag: int, *parts: bytes) -> bytes:
        inside = b"".join(parts)
        return bytes([tag, len(inside)]) + inside

    validity = element(0x30, element(0x17, b"960101000000Z"), element(0x17, b"991231235959Z"))
    fields = element(0x30, element(2, b"\x01"), element(0x30), element(0x30), validity)
    assert end_of(element(0x30, fields)) == datetime(1999, 12, 31, 23, 59, 59, tzinfo=UTC).timestamp()
    der = ssl.PEM_cert_to_DER_cert(
        authority.issue().certificate.read_text().split("\n\n")[0].partition("-----END")[0]
        + "-----END CERTIFICATE-----\n"
    )
    for size in range(0, 200, 7):
        with pytest.raises((ValueError, IndexError)):
            end_of(der[:size])


def test_a_key_under_a_passphrase(authority: Authority, tmp_path: Path) -> None:
    """It is read from a file, of which the end of the line is no part; nobody is asked at a terminal."""
    papers = authority.issue()
    encrypted(papers)
    passphrase = tmp_path / "passphrase"
    passphrase.write_text(f"{PASSPHRASE}\n")
    read_certificate(files(papers, passphrase))
    passphrase.write_text("another")
    with pytest.raises(CertificateError, match="with this passphrase") as wrong:
        read_certificate(files(papers, passphrase))
    assert "another" not in str(wrong.value)
    passphrase.write_text("x" * 5000)
    with pytest.raises(CertificateError):
        read_certificate(files(papers, passphrase))
    with pytest.raises(CertificateError, match="without a passphrase"):
        read_certificate(files(papers))


def test_what_is_wrong_is_a_sentence_that_names_the_file(authority: Authority, tmp_path: Path) -> None:
    """Missing, empty, another's key, the key for the certificate, something that is no file."""
    papers, other = authority.issue(), authority.issue("other")
    empty = tmp_path / "empty.pem"
    empty.touch()
    broken = tmp_path / "broken.pem"
    broken.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
    large = tmp_path / "large.pem"
    large.write_bytes(bytes((1 << 20) + 1))
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    wrong = {
        "is not the key": (papers.certificate, other.key),
        "holds no certificate in PEM": (papers.key, papers.key),
        "empty.pem holds no certificate": (empty, papers.key),
        "broken.pem holds no certificate": (broken, papers.key),
        "nowhere.pem is not there": (tmp_path / "nowhere.pem", papers.key),
        "large.pem is not there, or not a file": (large, papers.key),
        "hidden is not there, or not a file": (papers.certificate, hidden),
        "cannot be used": (papers.certificate, empty),
    }
    for sentence, (certificate, key) in wrong.items():
        with pytest.raises(CertificateError, match=sentence):
            read_certificate(Files(str(certificate), str(key)))


def test_a_file_that_goes_while_it_is_read(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing but a sentence comes out."""
    papers = authority.issue()
    monkeypatch.setattr(Path, "is_file", lambda self: True)
    papers.key.unlink()
    with pytest.raises(CertificateError, match="cannot be read"):
        read_certificate(files(papers))

    def away(self: ssl.SSLContext, *_: object, **__: object) -> None:
        raise FileNotFoundError

    papers = authority.issue()
    monkeypatch.setattr(ssl.SSLContext, "load_cert_chain", away)
    with pytest.raises(CertificateError, match=r"cannot be used as a certificate and its key$"):
        read_certificate(files(papers))


# -- under a gateway ---------------------------------------------------------------------------------------------------


async def opened(papers: Papers, told: list[float], at: float | None = None) -> Certificates:
    server = Server(**papers.config())
    found = await Certificates.opened(server, told.append, (lambda: at) if at is not None else time.time)
    assert found is not None
    return found


async def test_the_first_one_has_to_be_good(authority: Authority, tmp_path: Path) -> None:
    """Else nothing starts; without one there is none."""
    assert await Certificates.opened(Server(), print) is None
    with pytest.raises(StartError, match=r"^server\.tls_certificate_file: .*nowhere\.pem is not there"):
        await opened(Papers(tmp_path / "nowhere.pem", tmp_path / "nowhere.key"), [])


async def test_one_that_has_ended_is_better_than_none(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """At the start it serves, and says so."""
    told: list[float] = []
    end = datetime.now(UTC).replace(microsecond=0) - timedelta(days=1)
    await opened(authority.issue(not_after=end), told)
    assert told == [end.timestamp()]
    assert "certificate.ended" in caplog.text


async def test_a_new_one_takes_over(authority: Authority, caplog: pytest.LogCaptureFixture) -> None:
    """For whoever connects from then on; while nothing changes nothing is read."""
    caplog.set_level(logging.INFO)
    told: list[float] = []
    found = await opened(authority.issue(not_after=datetime(2040, 1, 1, tzinfo=UTC)), told)
    before = found.current()
    await found.look()
    assert found.current() is before
    authority.issue(not_after=datetime(2041, 1, 1, tzinfo=UTC))
    await found.look()
    assert found.current() is not before
    assert told == [datetime(year, 1, 1, tzinfo=UTC).timestamp() for year in (2040, 2041)]
    assert [record.getMessage() for record in caplog.records] == ["certificate.used"]


async def test_a_bad_one_is_refused_and_the_old_one_goes_on(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """Half of a rotation is a bad one for as long as it lasts: said once for each change, and then it is whole."""
    papers, other = authority.issue(), authority.issue("other")
    found = await opened(papers, [])
    before = found.current()
    papers.certificate.write_bytes(other.certificate.read_bytes())
    await found.look()
    await found.look()
    papers.key.unlink()
    await found.look()
    assert found.current() is before
    reasons = [record.fields["reason"] for record in caplog.records]  # type: ignore[attr-defined]  # the event's own
    assert len(reasons) == 2
    assert "is not the key" in reasons[0]
    assert "is not there" in reasons[1]
    papers.key.write_bytes(other.key.read_bytes())
    await found.look()
    assert found.current() is not before


async def test_one_that_has_ended_is_not_taken_for_one_that_has_not(
    authority: Authority, caplog: pytest.LogCaptureFixture
) -> None:
    """A rotation with the wrong file; but where the old one has ended as well it may as well be the new one."""
    told: list[float] = []
    at = datetime(2030, 1, 1, tzinfo=UTC).timestamp()
    found = await opened(authority.issue(not_after=datetime(2031, 1, 1, tzinfo=UTC)), told, at)
    authority.issue(not_after=datetime(2029, 1, 1, tzinfo=UTC))
    assert not await found.reload()
    assert "has ended" in str(caplog.records[-1].fields)  # type: ignore[attr-defined]  # the event's own
    found._wall = lambda: datetime(2032, 1, 1, tzinfo=UTC).timestamp()
    assert await found.reload()
    assert len(told) == 2


async def test_other_files_may_be_named(authority: Authority) -> None:
    """And those are looked at from then on; where they are bad, the old ones are."""
    first, second = authority.issue("first"), authority.issue("second")
    found = await opened(first, [])
    before = found.current()
    assert not await found.reload(Files(str(second.certificate), str(first.key)))
    await found.look()
    assert found.current() is before
    assert await found.reload(files(second))
    before = found.current()
    authority.issue("first")
    await found.look()
    assert found.current() is before
    authority.issue("second")
    await found.look()
    assert found.current() is not before


async def test_reading_takes_no_longer_than_it_may(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A disk that does not answer."""
    found = await opened(authority.issue(), [])
    monkeypatch.setattr(certificates_module, "_READ_SECONDS", 0.0)
    assert not await found.reload()
    assert "takes too long" in str(caplog.records[-1].fields)  # type: ignore[attr-defined]  # the event's own


async def test_the_files_are_watched(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    """By a timer, also where a link is turned to another folder, as orchestrators do."""
    monkeypatch.setattr(certificates_module, "LOOK_SECONDS", 0.01)
    folders = [authority.folder / name for name in ("a", "b")]
    for folder in folders:
        folder.mkdir()
        Authority(folder).issue()
    link = authority.folder / "now"
    link.symlink_to(folders[0])
    papers = Papers(link / "server.pem", link / "server.key")
    found = await opened(papers, [])
    before = found.current()
    watching = asyncio.create_task(found.run())
    turned = authority.folder / "turned"
    turned.symlink_to(folders[1])
    os.replace(turned, link)
    await soon(lambda: found.current() is not before)
    watching.cancel()
    await asyncio.wait([watching])
