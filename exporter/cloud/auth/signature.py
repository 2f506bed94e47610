"""Compute the cloud's request signature, SDK-HMAC-SHA256, without I/O.

The result equals that of the official SDK (huaweicloudsdkcore 3.1.219) for any input; see
"AK/SK-based authentication" in the cloud's documentation.
"""

import hashlib
import hmac
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from urllib.parse import quote, unquote

ALGORITHM = "SDK-HMAC-SHA256"
DATE_FORMAT = "%Y%m%dT%H%M%SZ"

_DATE = "x-sdk-date"
_CONTENT_SHA256 = "x-sdk-content-sha256"
_HASHED_TYPES = ("application/json", "application/bson")


@dataclass(frozen=True, slots=True)
class Keys:
    """An access key pair; temporary keys also have a ``security_token``."""

    access_key: str = field(repr=False)
    secret_key: str = field(repr=False)
    security_token: str | None = field(default=None, repr=False)


def signed_headers(  # noqa: PLR0913 - all parts of a request
    keys: Keys,
    *,
    method: str,
    path: str,
    query: Iterable[tuple[str, str]],
    headers: Mapping[str, str],
    body: bytes = b"",
) -> dict[str, str]:
    """Sign a request; return the headers to add, names in lower case.

    ``path`` may be percent-encoded; ``query`` are decoded pairs. ``headers`` are the headers to
    sign, at least ``host`` and ``x-sdk-date``. Names with an underscore are not signed, because
    gateways drop them. A body that is neither JSON nor BSON is not signed.
    """
    signed = {name.lower(): value.strip() for name, value in headers.items()}
    added: dict[str, str] = {}
    if keys.security_token is not None:
        added["x-security-token"] = keys.security_token
    content_type = {name.lower(): value for name, value in headers.items()}.get("content-type")
    if content_type and not content_type.startswith(_HASHED_TYPES):
        added[_CONTENT_SHA256] = "UNSIGNED-PAYLOAD"
    signed |= added
    names = sorted(name for name in signed if "_" not in name)
    canonical_request = "\n".join(
        (
            method.upper(),
            _canonical_path(path),
            _canonical_query(query),
            *(f"{name}:{signed[name]}" for name in names),
            "",
            ";".join(names),
            _body_hash(body, signed.get(_CONTENT_SHA256)),
        )
    )
    to_sign = "\n".join((ALGORITHM, signed[_DATE], _sha256(canonical_request.encode())))
    signature = hmac.new(keys.secret_key.encode(), to_sign.encode(), hashlib.sha256).hexdigest()
    return added | {
        "authorization": f"{ALGORITHM} Access={keys.access_key}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature}"
    }


def _canonical_path(path: str) -> str:
    """Re-encode each segment; end with a slash, which the request itself does not have."""
    encoded = "/".join(quote(segment, safe="~") for segment in unquote(path).split("/"))
    return encoded if encoded.endswith("/") else f"{encoded}/"


def _canonical_query(query: Iterable[tuple[str, str]]) -> str:
    return "&".join(
        f"{quote(key, safe='~')}={quote(value, safe='~')}" for key, value in sorted(query)
    )


def _body_hash(body: bytes, declared: str | None) -> str:
    if body and declared:
        return declared
    return _sha256(body)


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
