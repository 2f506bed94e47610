"""Verify ``SDK-HMAC-SHA256`` signatures.

A signature covers the method, the path, the query, some headers and the body::

    METHOD                          POST
    path, with a trailing slash    /v1/a/
    query, sorted                   limit=10&marker=x
    each signed header, sorted      host:cloud.example
                                    x-sdk-date:20260101T000000Z
                                    (an empty line)
    names of the signed headers     host;x-sdk-date
    hex SHA-256 of the body         e3b0c442…

The signature is the hex HMAC-SHA256, with the secret key, of the algorithm's name, the date, and
the hex SHA-256 of the above. Source: Huawei Cloud, "AK/SK Signing and Authentication Algorithm".
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import parse_qsl, quote, unquote

ALGORITHM = "SDK-HMAC-SHA256"
_AUTHORIZATION = re.compile(
    ALGORITHM + r" +Access=([^,\s]{1,256}), *SignedHeaders=([^,\s]{1,4096}), *"
    r"Signature=([0-9a-f]{64})"
)
_MUST_BE_SIGNED = {"host", "x-sdk-date"}


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """The parts of a request that a signature covers. ``target`` is path and query as sent."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class AuthorizationHeader:
    """A parsed ``Authorization`` header."""

    access_key: str
    signed_headers: tuple[str, ...]
    signature: str

    @classmethod
    def parse(cls, header: str) -> "AuthorizationHeader | None":
        """Parse a header; None if it is malformed or a required header is not signed."""
        found = _AUTHORIZATION.fullmatch(header)
        if not found:
            return None
        names = tuple(found[2].split(";"))
        if not _MUST_BE_SIGNED.issubset(names):
            return None
        return cls(found[1], names, found[3])


def signed_at(request: SignedRequest) -> float | None:
    """Return the Unix time of the header ``X-Sdk-Date``; None if missing or malformed."""
    try:
        date = datetime.strptime(request.headers.get("X-Sdk-Date", ""), "%Y%m%dT%H%M%S%z")
    except ValueError:
        return None
    return date.timestamp()


def is_signed_by(secret_key: str, header: AuthorizationHeader, request: SignedRequest) -> bool:
    """Return whether the signature of ``header`` was made with ``secret_key``."""
    values = [request.headers.get(name) for name in header.signed_headers]
    if None in values:
        return False
    lines = [
        request.method.upper(),
        _path(request.target),
        _query(request.target),
        *(f"{name}:{str(value).strip()}" for name, value in zip(header.signed_headers, values)),  # noqa: B905
        "",
        ";".join(header.signed_headers),
        _digest_of_body(request),
    ]
    canonical = "\n".join(lines).encode("latin-1")  # as Starlette decodes headers
    text = "\n".join(
        (ALGORITHM, request.headers["X-Sdk-Date"], hashlib.sha256(canonical).hexdigest())
    )
    signature = hmac.new(secret_key.encode(), text.encode(), "sha256").hexdigest()
    return hmac.compare_digest(signature, header.signature)


def _path(target: str) -> str:
    path = unquote(target.partition("?")[0], errors="surrogateescape")
    quoted = "/".join(_quoted(segment) for segment in path.split("/"))
    return quoted if quoted.endswith("/") else f"{quoted}/"


def _query(target: str) -> str:
    pairs = parse_qsl(target.partition("?")[2], keep_blank_values=True, errors="surrogateescape")
    return "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in sorted(pairs))


def _quoted(text: str) -> str:
    return quote(text, safe="~", errors="surrogateescape")


def _digest_of_body(request: SignedRequest) -> str:
    stated = request.headers.get("X-Sdk-Content-Sha256")
    if request.body and stated:
        return stated
    return hashlib.sha256(request.body).hexdigest()
