"""The validated web configuration as frozen values: TLS, users and headers of the web server.

The format is that of Prometheus' exporter-toolkit, so one file works for all exporters of a
machine. `exporter.web.access.web_config_loader` reads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class ClientCertificate(Enum):
    """What is required of client certificates; each member is stricter than the one before."""

    NOT_ASKED = 0
    VERIFIED_IF_GIVEN = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True)
class ServerTls:
    """TLS settings; the PEM texts have been checked, whether given inline or as files.

    ``ciphers`` are OpenSSL's names of suites for TLS 1.2; empty means OpenSSL's default. ``curve``
    is the only curve for key exchange; None means any. ``oldest`` and ``newest`` are minor
    versions: 2 for TLS 1.2, 3 for TLS 1.3.
    """

    certificate: bytes
    key: bytes = field(repr=False)
    client_certificate: ClientCertificate = ClientCertificate.NOT_ASKED
    client_ca: bytes = b""
    client_allowed_sans: frozenset[str] = frozenset()
    oldest: int = 2
    newest: int = 3
    ciphers: tuple[str, ...] = ()
    prefer_server_ciphers: bool = True
    curve: str | None = None


@dataclass(frozen=True, slots=True)
class WebConfig:
    """A web configuration. By default: plain HTTP, no authentication.

    ``headers`` are sent with every response. ``users`` maps user names to bcrypt hashes. ``files``
    lists all files that were read.
    """

    tls: ServerTls | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()
