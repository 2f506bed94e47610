"""Find out when the first certificate of a verified chain expires.

libcurl tells which certificates the server has sent. OpenSSL does not use all of them: it prefers a
certificate of the trust store to a sent one of the same subject, such as an expired, cross-signed
copy of a root.
"""

import re
from binascii import a2b_base64
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

Chain = Sequence[Sequence[tuple[bytes, bytes]]]
"""The sent certificates as libcurl gives them, the server's own first: names and values."""

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED )?CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END ")
# The names under which OpenSSL finds certificates in a folder.
_HASHED_NAMES = "[0-9a-f]" * 8 + ".[0-9]*"
_VERSION_TAG, _UTC_TIME_TAG = 0xA0, 0x17
_LONG_LENGTH = 0x80
# RFC 5280, 4.1.2.5.1: two digits of a year mean 1950 to 2049.
_FIRST_YEAR_OF_1900S = b"50"


@dataclass(frozen=True, slots=True)
class Certificate:
    """The parts that a walk along a chain needs: ``ends_at`` in Unix seconds, the others in DER."""

    serial: bytes
    issuer: bytes
    subject: bytes
    ends_at: float


@dataclass(frozen=True, slots=True)
class TrustStore:
    """Trusted certificates, and for each subject the latest end."""

    certificates: frozenset[Certificate] = frozenset()
    ends_at: dict[bytes, float] = field(default_factory=dict)

    @classmethod
    def read(cls, file: str | None, folder: str | None) -> "TrustStore":
        """Read a file of PEM certificates and a folder as OpenSSL uses it, if given and there."""
        found: set[Certificate] = set()
        for path in (file, folder):
            if path:
                with suppress(OSError):
                    found |= _read(path, Path(path).stat().st_mtime_ns)
        return cls(frozenset(found), _latest_ends(found))


def earliest_expiry(chain: Chain, trusted: TrustStore) -> float | None:
    """Return when (Unix seconds) the first certificate of a verified chain expires.

    The chain is the server's own certificate, then issuer by issuer up to a trusted certificate.
    None where no certificate can be read.
    """
    sent = [found for one in chain for found in _sent(dict(one).get(b"Cert", b""))]
    if not sent:
        return None
    own = current = sent[0]
    ends = [own.ends_at]
    issuers = _latest_ends(sent)
    by_subject = {one.subject: one for one in sent if one.ends_at == issuers[one.subject]}
    while current.issuer != current.subject:
        trusted_end = trusted.ends_at.get(current.issuer)
        if trusted_end is not None:
            return min(*ends, trusted_end)
        issuer = by_subject.pop(current.issuer, None)
        if issuer is None:
            break
        current = issuer
        ends.append(current.ends_at)
    # A server's own certificate may be trusted without its issuer.
    return own.ends_at if own in trusted.certificates else min(ends)


def _latest_ends(certificates: Sequence[Certificate] | set[Certificate]) -> dict[bytes, float]:
    ends: dict[bytes, float] = {}
    for one in certificates:
        ends[one.subject] = max(one.ends_at, ends.get(one.subject, one.ends_at))
    return ends


@lru_cache(maxsize=16)
def _read(path: str, _modified: int) -> frozenset[Certificate]:
    """Read the certificates of a file or folder; many projects use the same."""
    place = Path(path)
    files = place.glob(_HASHED_NAMES) if place.is_dir() else [place]
    found: set[Certificate] = set()
    for file in files:
        with suppress(OSError):
            found.update(_parsed(file.read_bytes()))
    return frozenset(found)


@lru_cache(maxsize=256)
def _sent(pem: bytes) -> tuple[Certificate, ...]:
    """Parse a sent certificate; each connection shows it again."""
    return tuple(_parsed(pem))


def _parsed(pem: bytes) -> Iterator[Certificate]:
    for text in _PEM.findall(pem):
        # OpenSSL has read them before; what it reads and this does not is left out.
        with suppress(ValueError, IndexError):
            yield _certificate(a2b_base64(text))


def _certificate(der: bytes) -> Certificate:
    """Parse a certificate (RFC 5280, 4.1); raises `ValueError` or `IndexError`."""
    at, _ = _content(der, _content(der, 0)[0])
    if der[at] == _VERSION_TAG:
        _, at = _content(der, at)
    fields: list[bytes] = []
    # Serial number, algorithm, issuer, validity, subject.
    for _ in range(5):
        _, end = _content(der, at)
        fields.append(der[at:end])
        at = end
    serial, _, issuer, validity, subject = fields
    _, not_after = _content(validity, _content(validity, 0)[0])
    return Certificate(serial, issuer, subject, _unix_time(validity, not_after))


def _unix_time(der: bytes, at: int) -> float:
    start, end = _content(der, at)
    text = der[start:end]
    if der[at] == _UTC_TIME_TAG:
        text = (b"19" if text >= _FIRST_YEAR_OF_1900S else b"20") + text
    return datetime.strptime(text.decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC).timestamp()


def _content(der: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the DER element at a place begins and ends."""
    length = der[at + 1]
    at += 2
    if length & _LONG_LENGTH:
        size = length - _LONG_LENGTH
        length = int.from_bytes(der[at : at + size], "big")
        at += size
    return at, at + length
