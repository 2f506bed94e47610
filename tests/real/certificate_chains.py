"""Issue chains of certificates whose ends are chosen, and serve them."""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Issued:
    """A certificate, its key, and its end in Unix seconds."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey

    @property
    def pem(self) -> bytes:
        """Return the certificate as PEM."""
        return self.certificate.public_bytes(Encoding.PEM)

    @property
    def ends_at(self) -> float:
        """Return the end in Unix seconds."""
        return self.certificate.not_valid_after_utc.timestamp()


def issue(
    name: str,
    issuer: Issued | None = None,
    *,
    days: float = 1000,
    key: ec.EllipticCurvePrivateKey | None = None,
    is_authority: bool = True,
) -> Issued:
    """Issue a certificate that ends in ``days``; without an ``issuer`` it is self-signed.

    One ``key`` and ``name`` in several certificates make them copies of one authority.
    """
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = _name(name)
    ends = datetime.now(UTC) + timedelta(days=days)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.certificate.subject if issuer else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(min(datetime.now(UTC), ends) - timedelta(days=99))
        .not_valid_after(ends)
        .add_extension(x509.BasicConstraints(ca=is_authority, path_length=None), critical=True)
    )
    if not is_authority:
        names = x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(LOOPBACK))])
        builder = builder.add_extension(names, critical=False)
    return Issued(builder.sign(issuer.key if issuer else key, hashes.SHA256()), key)


def leaf(issuer: Issued | None = None, *, days: float = 1000) -> Issued:
    """Issue a certificate of a server on loopback."""
    return issue(f"server of {days} days", issuer, days=days, is_authority=False)


def serving(folder: Path, chain: Sequence[Issued]) -> ssl.SSLContext:
    """Return a server's context that sends these certificates, its own first."""
    certificate, key = folder / "chain.pem", folder / "key.pem"
    certificate.write_bytes(b"".join(one.pem for one in chain))
    key.write_bytes(chain[0].key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    return context


def trusting(folder: Path, *trusted: Issued) -> Path:
    """Write a client's ``ca_file``."""
    path = folder / "ca.pem"
    path.write_bytes(b"".join(one.pem for one in trusted))
    return path


def _name(text: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COUNTRY_NAME, "CN"),
            x509.NameAttribute(NameOID.COMMON_NAME, text),
        ]
    )
