"""The format of the web configuration file as pydantic models.

They check each value on its own. `exporter.web.access.web_config_loader` checks combinations and
the files that are named.
"""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, Field, PlainValidator

from exporter.config.schema import Section
from exporter.config.value_checks import described, shown, switch, text_of
from exporter.web.access.tls_names import (
    CIPHERS,
    CIPHERS_OF_TLS13,
    CLIENT_AUTH,
    CURVES,
    NEWEST,
    OLDEST,
    UNVERIFIED_CLIENT_AUTH,
)

Check = Callable[[object], Any]

# A check at this cost takes about two seconds; a longer one would delay the exporter's shutdown.
BCRYPT_COST_MAX = 14
USERS_MAX = 1000
_NAME_MAX = 255
_HEADER_MAX = 4096
_BCRYPT = re.compile(
    r"\$2[aby]\$(0[4-9]|[12][0-9]|3[01])\$[./A-Za-z0-9]{21}[.Oeu][./A-Za-z0-9]{31}"
)


def _one_of(names: tuple[str, ...], *, hint: str = "") -> Check:
    expected = " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))

    def check(value: object) -> str:
        text = text_of(value, expected)
        if text not in names:
            raise ValueError(f"expected {expected}, got {shown(value)}{hint}")
        return text

    return check


def _client_auth(value: object) -> str:
    names = tuple(CLIENT_AUTH)
    if value in UNVERIFIED_CLIENT_AUTH:
        raise ValueError(
            f"{value} asks for a certificate and does not verify it, which proves nothing and is"
            " not supported; use RequireAndVerifyClientCert with client_ca_file"
        )
    return str(_one_of(names)(value))


def _curve(value: object) -> str:
    return CURVES[_one_of(tuple(CURVES))(value)]


def _file(value: object) -> Path:
    text = text_of(value, "the path of a file")
    if not text or not text.isprintable():
        raise ValueError("expected the path of a file, of printable characters")
    return Path(text)


def _pem(value: object) -> str:
    # The error does not repeat the value: it may be the private key.
    if isinstance(value, str) and "-----BEGIN " in value:
        return str(value)
    got = "text without -----BEGIN" if isinstance(value, str) else described(value)
    raise ValueError(f"expected PEM text, got {got}")


def _san(value: object) -> str:
    text = text_of(value, "a DNS name, an IP address, a mail address or a URI")
    if not text or not text.isprintable():
        raise ValueError("expected printable characters")
    return text


def _header(value: object) -> str:
    text = text_of(value, "a header's value")
    if len(text) > _HEADER_MAX or not re.fullmatch(r"[ -~]*", text) or text != text.strip():
        raise ValueError(
            "expected a header's value: ASCII, on one line, without spaces around it,"
            f" at most {_HEADER_MAX} characters"
        )
    return text


def _user(value: object) -> str:
    text = text_of(value, "a user name")
    if not 0 < len(text) <= _NAME_MAX or not text.isprintable() or ":" in text:
        raise ValueError(
            f"expected a user name: 1 to {_NAME_MAX} printable characters without a colon"
        )
    return text


def _bcrypt(value: object) -> str:
    # The error does not repeat the value: it may be a password.
    text = text_of(value, "a bcrypt hash")
    found = _BCRYPT.fullmatch(text)
    if not found:
        raise ValueError(
            "expected a bcrypt hash, such as $2y$10$ and 53 more characters;"
            " create one with htpasswd -nBC 10 NAME"
        )
    if int(found[1]) > BCRYPT_COST_MAX:
        raise ValueError(
            f"expected a bcrypt hash of cost {BCRYPT_COST_MAX} or less, got {int(found[1])};"
            " each check would take seconds; create a cheaper one with htpasswd -nBC 10 NAME"
        )
    return text


_FileName = Annotated[Path, PlainValidator(_file)]
_Pem = Annotated[str, PlainValidator(_pem)]
_Switch = Annotated[bool, PlainValidator(switch)]
_Header = Annotated[str, PlainValidator(_header)]
_OLDER = "; OpenSSL supports TLS 1.2 and newer"


class TlsServerConfig(Section):
    """Server certificate, client certificates, TLS versions and ciphers."""

    cert: _Pem | None = None
    key: _Pem | None = None
    client_ca: _Pem | None = None
    cert_file: _FileName | None = None
    key_file: _FileName | None = None
    client_auth_type: Annotated[str, PlainValidator(_client_auth)] = "NoClientCert"
    client_ca_file: _FileName | None = None
    client_allowed_sans: list[Annotated[str, PlainValidator(_san)]] | None = None
    min_version: Annotated[str, PlainValidator(_one_of(tuple(OLDEST)))] = "TLS12"
    max_version: Annotated[str, PlainValidator(_one_of(tuple(NEWEST), hint=_OLDER))] = "TLS13"
    cipher_suites: list[Annotated[str, PlainValidator(_one_of((*CIPHERS, *CIPHERS_OF_TLS13)))]] = (
        Field(default_factory=list)
    )
    prefer_server_cipher_suites: _Switch = True
    curve_preferences: list[Annotated[str, PlainValidator(_curve)]] = Field(default_factory=list)


class Headers(Section):
    """The only headers that can be added to every response."""

    content_security_policy: _Header = Field(default="", alias="Content-Security-Policy")
    x_frame_options: Annotated[str, PlainValidator(_one_of(("deny", "sameorigin")))] = Field(
        default="", alias="X-Frame-Options"
    )
    x_content_type_options: Annotated[str, PlainValidator(_one_of(("nosniff",)))] = Field(
        default="", alias="X-Content-Type-Options"
    )
    x_xss_protection: _Header = Field(default="", alias="X-XSS-Protection")
    strict_transport_security: _Header = Field(default="", alias="Strict-Transport-Security")


class HttpServerConfig(Section):
    """HTTP settings; ``http2`` is accepted but has no effect, the server speaks HTTP/1.1."""

    http2: _Switch = True
    headers: Headers = Field(default_factory=Headers)


class WebRoot(Section):
    """The root of a web configuration file."""

    tls_server_config: TlsServerConfig | None = None
    http_server_config: HttpServerConfig = Field(default_factory=HttpServerConfig)
    basic_auth_users: Annotated[
        dict[Annotated[str, PlainValidator(_user)], Annotated[str, PlainValidator(_bcrypt)]],
        Field(max_length=USERS_MAX),
    ] = Field(default_factory=dict)


WEB_SECTIONS: dict[str, type[BaseModel]] = {
    "": WebRoot,
    "tls_server_config": TlsServerConfig,
    "http_server_config": HttpServerConfig,
    "headers": Headers,
}
