"""Create valid and invalid server certificates."""

import ssl
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import trustme

_NAMES = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class PemFiles:
    """The PEM files of a server's certificate and its key."""

    certificate: Path
    key: Path


@dataclass(frozen=True, slots=True)
class Certificates:
    """Server SSL contexts with certificates of one authority, unless stated otherwise."""

    _authority: trustme.CA = field(default_factory=trustme.CA)

    def write_authority(self, path: Path) -> Path:
        """Write the authority's certificate for a client's ``ca_file``."""
        self._authority.cert_pem.write_to_path(str(path))
        return path

    def write_good(self, folder: Path, not_after: datetime | None = None) -> PemFiles:
        """Write a trusted certificate, valid until ``not_after``, and its key."""
        return _write(self._authority.issue_cert(*_NAMES, not_after=not_after), folder)

    def write_wrong_name(self, folder: Path) -> PemFiles:
        """Write a certificate for another host and its key."""
        return _write(self._authority.issue_cert("other.example"), folder)

    def write_expired(self, folder: Path) -> PemFiles:
        """Write a certificate that expired yesterday and its key."""
        return _write(self._expired(), folder)

    def good(self, not_after: datetime | None = None) -> ssl.SSLContext:
        """Return a context with a trusted certificate, valid until ``not_after``."""
        return _server_context(self._authority.issue_cert(*_NAMES, not_after=not_after))

    def wrong_name(self) -> ssl.SSLContext:
        """Return a context with a certificate for another host."""
        return _server_context(self._authority.issue_cert("other.example"))

    def expired(self) -> ssl.SSLContext:
        """Return a context with a certificate that expired yesterday."""
        return _server_context(self._expired())

    def not_yet_valid(self) -> ssl.SSLContext:
        """Return a context with a certificate that is valid from tomorrow."""
        now = datetime.now(UTC)
        return _server_context(
            self._authority.issue_cert(
                *_NAMES, not_before=now + timedelta(days=1), not_after=now + timedelta(days=9)
            )
        )

    def unknown_authority(self) -> ssl.SSLContext:
        """Return a context with a certificate of an unknown authority."""
        return _server_context(trustme.CA().issue_cert(*_NAMES))

    def self_signed(self) -> ssl.SSLContext:
        """Return a context with a self-signed certificate."""
        own = trustme.CA()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        with own.private_key_pem.tempfile() as key, own.cert_pem.tempfile() as certificate:
            context.load_cert_chain(certificate, key)
        return context

    def demanding_client_certificate(self) -> ssl.SSLContext:
        """Return a good context that requires a client certificate of the authority."""
        context = self.good()
        context.verify_mode = ssl.CERT_REQUIRED
        self._authority.configure_trust(context)
        return context

    def _expired(self) -> trustme.LeafCert:
        now = datetime.now(UTC)
        return self._authority.issue_cert(
            *_NAMES, not_before=now - timedelta(days=9), not_after=now - timedelta(days=1)
        )


def _write(certificate: trustme.LeafCert, folder: Path) -> PemFiles:
    files = PemFiles(folder / "certificate.pem", folder / "key.pem")
    certificate.cert_chain_pems[0].write_to_path(str(files.certificate))
    certificate.private_key_pem.write_to_path(str(files.key))
    return files


def _server_context(certificate: trustme.LeafCert) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    return context


def client_context(authority: Path) -> ssl.SSLContext:
    """Return a client SSL context that trusts the authority in the file ``authority``."""
    return ssl.create_default_context(cafile=authority)
