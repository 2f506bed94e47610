"""The web configuration: TLS, users and headers of the web server.

The format is that of Prometheus' exporter-toolkit, so one file works for all exporters of a
machine. `exporter.web.access.web_config_loader` reads it, and checks combinations of values.
"""

from dataclasses import astuple, dataclass, field
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field, GetPydanticSchema

from exporter.config.section import Section, known_keys
from exporter.web.access.tls_names import (
    CIPHERS,
    CLIENT_AUTH,
    CURVES,
    NEWEST,
    OLDEST,
    ClientCertificate,
)
from exporter.web.access.web_config_fields import (
    CipherSuites,
    ClientAuth,
    ContentTypeOptions,
    Curves,
    FileName,
    FrameOptions,
    Header,
    MaxVersion,
    MinVersion,
    Pem,
    Sans,
    Switch,
    Users,
)


@dataclass(frozen=True, slots=True)
class ServerTls(Section):
    """Server certificate, client certificates, TLS versions and ciphers.

    Once loaded, ``certificate``, ``key`` and ``client_ca`` are the PEM texts that are given, inline
    or as files; they have been checked.
    """

    certificate: Annotated[Pem, Field(alias="cert")] = b""
    key: Pem = field(default=b"", repr=False)
    client_ca: Pem = b""
    cert_file: FileName | None = None
    key_file: FileName | None = None
    client_auth_type: ClientAuth = "NoClientCert"
    client_ca_file: FileName | None = None
    client_allowed_sans: Sans | None = None
    min_version: MinVersion = "TLS12"
    max_version: MaxVersion = "TLS13"
    cipher_suites: CipherSuites = ()
    prefer_server_ciphers: Annotated[Switch, Field(alias="prefer_server_cipher_suites")] = True
    curve_preferences: Curves = ()

    @property
    def client_certificate(self) -> ClientCertificate:
        """Return what is required of client certificates."""
        return CLIENT_AUTH[self.client_auth_type]

    @property
    def ciphers(self) -> tuple[str, ...]:
        """Return OpenSSL's names of the suites for TLS 1.2; empty means OpenSSL's default."""
        return tuple(CIPHERS[suite] for suite in self.cipher_suites if suite in CIPHERS)

    @property
    def oldest(self) -> int:
        """Return the oldest minor version: 2 for TLS 1.2, 3 for TLS 1.3."""
        only_newest = self.cipher_suites and not self.ciphers
        return NEWEST["TLS13"] if only_newest else OLDEST[self.min_version]

    @property
    def newest(self) -> int:
        """Return the newest minor version."""
        return NEWEST[self.max_version]

    @property
    def curve(self) -> str | None:
        """Return OpenSSL's name of the only curve for key exchange; None means any."""
        return CURVES[self.curve_preferences[0]] if self.curve_preferences else None


@dataclass(frozen=True, slots=True)
class Headers(Section):
    """The only headers that can be added to every response."""

    content_security_policy: Annotated[Header, Field(alias="Content-Security-Policy")] = ""
    x_frame_options: Annotated[FrameOptions, Field(alias="X-Frame-Options")] = ""
    x_content_type_options: Annotated[ContentTypeOptions, Field(alias="X-Content-Type-Options")] = (
        ""
    )
    x_xss_protection: Annotated[Header, Field(alias="X-XSS-Protection")] = ""
    strict_transport_security: Annotated[Header, Field(alias="Strict-Transport-Security")] = ""


def _pairs(headers: Headers) -> tuple[tuple[str, str], ...]:
    given = zip(known_keys(Headers), astuple(headers), strict=True)
    return tuple((name, value) for name, value in given if value)


@dataclass(frozen=True, slots=True)
class HttpServer(Section):
    """HTTP settings; ``http2`` is accepted but has no effect, the server speaks HTTP/1.1."""

    http2: Switch = True
    headers: Annotated[
        tuple[tuple[str, str], ...],
        GetPydanticSchema(lambda _, read: read(Annotated[Headers, AfterValidator(_pairs)])),
    ] = ()


@dataclass(frozen=True, slots=True)
class WebConfigFile(Section):
    """The root of a web configuration file; ``users`` maps user names to bcrypt hashes."""

    tls: Annotated[ServerTls | None, Field(alias="tls_server_config")] = None
    http: Annotated[HttpServer, Field(alias="http_server_config")] = HttpServer()
    users: Annotated[Users, Field(alias="basic_auth_users")] = field(
        default_factory=dict, repr=False
    )

    @property
    def headers(self) -> tuple[tuple[str, str], ...]:
        """Return the headers that are sent with every response."""
        return self.http.headers


@dataclass(frozen=True, slots=True)
class WebConfig(WebConfigFile):
    """A loaded web configuration; ``files`` lists all files that were read.

    By default: plain HTTP, no authentication.
    """

    files: tuple[Path, ...] = ()
