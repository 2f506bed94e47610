"""Check URLs in the configuration: ``scheme://host[:port]``, and proxy URLs with a login."""

import ipaddress
import re
from urllib.parse import SplitResult, urlsplit

METADATA_HOST = "169.254.169.254"
DEFAULT_PORTS = {"http": 80, "https": 443}

_HOST = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)(\.(?!-)[A-Za-z0-9_-]{1,63}(?<!-))*")
_HOST_MAX = 253
_URL_MAX = 2048


def https_origin(text: str) -> str:
    """Return ``text`` as ``scheme://host[:port]``; plain http is allowed only for loopback.

    Raises `ValueError`, whose message never repeats the text.
    """
    return _origin(text, plain_hosts=frozenset())


def metadata_origin(text: str) -> str:
    """Return ``text`` like `https_origin`; the metadata service may also use plain http."""
    return _origin(text, plain_hosts=frozenset({METADATA_HOST}))


def proxy_url(text: str) -> str:
    """Return a proxy's URL unchanged: http or https, optionally with a login.

    Raises `ValueError`, whose message never repeats the text.
    """
    parts = _split(text)
    _host(parts)
    _reject_path(parts)
    return text


def is_host(text: str) -> bool:
    """Return whether ``text`` is a host name or an IP address."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return len(text) <= _HOST_MAX and _HOST.fullmatch(text) is not None
    return "%" not in text


def _origin(text: str, plain_hosts: frozenset[str]) -> str:
    parts = _split(text)
    host = _host(parts)
    if "@" in parts.netloc:
        raise ValueError("expected a URL without user name and password; set them under auth")
    _reject_path(parts)
    if parts.scheme == "http" and not _is_loopback(host) and host not in plain_hosts:
        raise ValueError(
            "expected https://, got http://, which would send the login unencrypted;"
            " plain http is allowed only for loopback addresses"
        )
    url_host = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{url_host}" + (f":{parts.port}" if parts.port else "")


def _split(text: str) -> SplitResult:
    expected = "expected a URL such as https://host or https://host:8443"
    if len(text) > _URL_MAX or not re.fullmatch(r"[!-~]+", text) or "\\" in text:
        raise ValueError(f"{expected}, in ASCII without spaces")
    try:
        parts = urlsplit(text)
        port = parts.port
    except ValueError:
        raise ValueError(f"{expected}, got an invalid host or port") from None
    if not re.match(r"https?://", text, re.IGNORECASE):
        raise ValueError(f"{expected}, got one that does not begin with https:// or http://")
    if port == 0:
        raise ValueError(f"{expected}, got port 0")
    return parts


def _host(parts: SplitResult) -> str:
    host = parts.hostname or ""
    if not is_host(host):
        raise ValueError("expected a URL with a host name or IP address after ://")
    return host


def _reject_path(parts: SplitResult) -> None:
    if parts.path not in {"", "/"} or parts.query or parts.fragment:
        raise ValueError("expected only scheme, host and port; remove the path, query and fragment")


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
