"""The validated web configuration, as frozen values: who may ask the exporter's own server.

The format is that of Prometheus' exporter-toolkit, so that one file serves all exporters of a
machine. It is read by `exporter.web.access.web_config_loader`.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path


class ClientCertificate(Enum):
    """What is asked of a client's certificate; each member is stricter than the one before."""

    NOT_ASKED = 0
    VERIFIED_IF_GIVEN = 1
    REQUIRED = 2


@dataclass(frozen=True, slots=True)
class ServerTls:
    """How to serve TLS; the PEM texts are those that were checked, wherever they stood.

    ``ciphers`` are OpenSSL's names of suites for TLS 1.2, empty for OpenSSL's own choice, and
    ``curve`` the only one for key exchange, None for any. ``oldest`` and ``newest`` are minor
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
    """A whole web configuration; the default lets everybody in, over plain HTTP.

    ``headers`` go with every answer. ``users`` are names and their bcrypt hashes. ``files`` are all
    that were read.
    """

    tls: ServerTls | None = None
    headers: tuple[tuple[str, str], ...] = ()
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    files: tuple[Path, ...] = ()
