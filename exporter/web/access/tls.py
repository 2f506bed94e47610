"""Create the server's TLS context from the web configuration."""

import ssl
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any

from exporter.config.pem import pem_files
from exporter.web.access.tls_names import ClientCertificate
from exporter.web.access.web_config import ServerTls

_VERSIONS = {2: ssl.TLSVersion.TLSv1_2, 3: ssl.TLSVersion.TLSv1_3}
_VERIFY = {
    ClientCertificate.NOT_ASKED: ssl.CERT_NONE,
    ClientCertificate.VERIFIED_IF_GIVEN: ssl.CERT_OPTIONAL,
    ClientCertificate.REQUIRED: ssl.CERT_REQUIRED,
}


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """Return the TLS context for new connections.

    Raises `ssl.SSLError` if this OpenSSL rejects a configured cipher or curve.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = _VERSIONS[tls.oldest]
    context.maximum_version = _VERSIONS[tls.newest]
    context.set_alpn_protocols(["http/1.1"])
    # Renegotiation would let clients cause CPU load with repeated handshakes.
    context.options |= ssl.OP_NO_RENEGOTIATION
    if not tls.prefer_server_ciphers:
        context.options &= ~ssl.OP_CIPHER_SERVER_PREFERENCE
    if tls.ciphers:
        context.set_ciphers(":".join(tls.ciphers))
    if tls.curve is not None:
        context.set_ecdh_curve(tls.curve)
    with pem_files(tls.certificate, tls.key) as (certificate, key):
        context.load_cert_chain(certificate, key)
    context.verify_mode = _VERIFY[tls.client_certificate]
    if tls.client_ca:
        with pem_files(tls.client_ca) as [authorities]:
            context.load_verify_locations(cafile=authorities)
    return context


def has_allowed_name(tls: ServerTls, connection: ssl.SSLObject) -> bool:
    """Return whether the client's verified certificate has one of ``client_allowed_sans``."""
    if not tls.client_allowed_sans:
        return True
    allowed = {_normalized(name) for name in tls.client_allowed_sans}
    return not allowed.isdisjoint(_names(connection.getpeercert() or {}))


def _names(certificate: dict[str, Any]) -> Iterator[str]:
    for kind, name in certificate.get("subjectAltName", ()):
        if kind in {"DNS", "email", "URI"}:
            yield name
        elif kind == "IP Address":
            yield _normalized(name)


def _normalized(name: str) -> str:
    """Return an IP address in its canonical form; OpenSSL writes IPv6 without shortening zeros."""
    try:
        return str(ip_address(name.strip()))
    except ValueError:
        return name
