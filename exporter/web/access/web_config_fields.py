"""Field types of the web configuration file, with the check of each."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, PlainValidator

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


def _file(value: object) -> Path:
    text = text_of(value, "the path of a file")
    if not text or not text.isprintable():
        raise ValueError("expected the path of a file, of printable characters")
    return Path(text)


def _pem(value: object) -> bytes:
    # The error does not repeat the value: it may be the private key.
    if isinstance(value, str) and "-----BEGIN " in value:
        return str(value).encode()
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


FileName = Annotated[Path, PlainValidator(_file)]
Pem = Annotated[bytes, PlainValidator(_pem)]
Switch = Annotated[bool, PlainValidator(switch)]
ClientAuth = Annotated[str, PlainValidator(_client_auth)]
Sans = tuple[Annotated[str, PlainValidator(_san)], ...]
MinVersion = Annotated[str, PlainValidator(_one_of(tuple(OLDEST)))]
MaxVersion = Annotated[
    str, PlainValidator(_one_of(tuple(NEWEST), hint="; OpenSSL supports TLS 1.2 and newer"))
]
CipherSuites = tuple[Annotated[str, PlainValidator(_one_of((*CIPHERS, *CIPHERS_OF_TLS13)))], ...]
Curves = tuple[Annotated[str, PlainValidator(_one_of(tuple(CURVES)))], ...]
Header = Annotated[str, PlainValidator(_header)]
FrameOptions = Annotated[str, PlainValidator(_one_of(("deny", "sameorigin")))]
ContentTypeOptions = Annotated[str, PlainValidator(_one_of(("nosniff",)))]
Users = Annotated[
    dict[Annotated[str, PlainValidator(_user)], Annotated[str, PlainValidator(_bcrypt)]],
    Field(max_length=USERS_MAX),
]
