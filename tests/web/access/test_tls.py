"""TLS settings, tested with real handshakes."""

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import trustme
from starlette.responses import PlainTextResponse

from exporter.web.access.live_config import Rules, load_rules
from exporter.web.connections import Limits
from tests.real.web_server import Served, serving

Load = Callable[..., Rules]
TLS = "tls_server_config:\n  cert_file: cert.pem\n  key_file: key.pem\n"
VERIFY = TLS + "  client_ca_file: ca.pem\n  client_auth_type: "
REQUIRE = VERIFY + "RequireAndVerifyClientCert\n"
SSLError = (ssl.SSLError, ConnectionError, asyncio.IncompleteReadError)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def load(authority: trustme.CA, tmp_path: Path) -> Load:
    authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    _write(authority, tmp_path)

    def rules(text: str) -> Rules:
        (tmp_path / "web.yml").write_text(text)
        return load_rules(tmp_path / "web.yml")

    return rules


def _write(authority: trustme.CA, folder: Path) -> None:
    certificate = authority.issue_cert("localhost", "127.0.0.1")
    certificate.cert_chain_pems[0].write_to_path(str(folder / "cert.pem"))
    certificate.private_key_pem.write_to_path(str(folder / "key.pem"))


def _client(authority: trustme.CA, own: trustme.LeafCert | None = None) -> ssl.SSLContext:
    context = ssl.create_default_context()
    authority.configure_trust(context)
    if own is not None:
        own.configure_cert(context)
    return context


async def _get(server: Served, context: ssl.SSLContext) -> ssl.SSLObject:
    """Request the page, and return the TLS connection that was used."""
    reader, writer = await asyncio.open_connection("localhost", server.port, ssl=context)
    try:
        writer.write(b"GET / HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
        async with asyncio.timeout(5):
            await reader.readuntil(b"hello")
        found: ssl.SSLObject = writer.get_extra_info("ssl_object")
        return found
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


@contextlib.asynccontextmanager
async def serving_tls(rules: Rules, limits: Limits | None = None) -> AsyncIterator[Served]:
    async with serving(PlainTextResponse("hello"), rules, limits or Limits()) as server:
        yield server


async def test_server_uses_tls_13_and_http_11(authority: trustme.CA, load: Load) -> None:
    client = _client(authority)
    client.set_alpn_protocols(["h2", "http/1.1"])
    async with serving_tls(load(TLS)) as server:
        found = await _get(server, client)
    assert found.version() == "TLSv1.3"
    assert found.selected_alpn_protocol() == "http/1.1"


@pytest.mark.parametrize(
    ("auth", "certificate", "accepted"),
    [
        ("NoClientCert", "none", True),
        ("RequestClientCert", "none", True),
        ("RequestClientCert", "good", True),
        ("RequestClientCert", "wrong", True),
        ("VerifyClientCertIfGiven", "none", True),
        ("VerifyClientCertIfGiven", "good", True),
        ("VerifyClientCertIfGiven", "wrong", False),
        ("RequireAndVerifyClientCert", "none", False),
        ("RequireAndVerifyClientCert", "good", True),
        ("RequireAndVerifyClientCert", "wrong", False),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_client_auth_type_decides_which_certificates_are_accepted(  # noqa: PLR0913, PLR0917 - a table
    authority: trustme.CA,
    load: Load,
    auth: str,
    certificate: str,
    accepted: bool,  # noqa: FBT001 - a table
    version: ssl.TLSVersion,
) -> None:
    own = {
        "none": None,
        "good": authority.issue_cert("client.example"),
        "wrong": trustme.CA().issue_cert("client.example"),
    }[certificate]
    client = _client(authority, own)
    client.maximum_version = version
    verifying = auth.endswith(("VerifyClientCert", "IfGiven"))
    text = VERIFY + auth if verifying else f"{TLS}  client_auth_type: {auth}"
    async with serving_tls(load(text)) as server:
        if accepted:
            await _get(server, client)
        else:
            with pytest.raises(SSLError):
                await _get(server, client)


@pytest.mark.parametrize(
    ("names", "accepted"),
    [
        (("scraper.example",), True),
        (("other.example", "scraper.example"), True),
        (("10.1.2.3",), True),
        (("2001:db8::1",), True),
        (("ops@example.com",), True),
        (("other.example",), False),
        (("sub.scraper.example",), False),
        (("10.1.2.4",), False),
    ],
)
async def test_client_certificate_needs_an_allowed_name(
    authority: trustme.CA,
    load: Load,
    names: tuple[str, ...],
    accepted: bool,  # noqa: FBT001 - a table
) -> None:
    allowed = "[scraper.example, 10.1.2.3, '2001:db8::1', ops@example.com]"
    client = _client(authority, authority.issue_cert(*names))
    async with serving_tls(load(f"{REQUIRE}  client_allowed_sans: {allowed}")) as server:
        if accepted:
            await _get(server, client)
        else:
            with pytest.raises(SSLError):
                await _get(server, client)


async def test_versions_ciphers_and_curve_are_enforced(authority: trustme.CA, load: Load) -> None:
    suite = "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256"
    text = f"{TLS}  max_version: TLS12\n  cipher_suites: [{suite}]\n  curve_preferences: [X25519]\n"
    other_cipher = _client(authority)
    other_cipher.set_ciphers("ECDHE+AESGCM")
    too_new = _client(authority)
    too_new.minimum_version = ssl.TLSVersion.TLSv1_3
    other_curve = _client(authority)
    other_curve.set_ecdh_curve("secp521r1")
    async with serving_tls(load(text)) as server:
        found = await _get(server, _client(authority))
        assert found.version() == "TLSv1.2"
        assert (found.cipher() or ("",))[0] == "ECDHE-ECDSA-CHACHA20-POLY1305"
        for client in (other_cipher, too_new, other_curve):
            with pytest.raises(SSLError):
                await _get(server, client)


async def test_min_version_tls_13_rejects_older_clients(authority: trustme.CA, load: Load) -> None:
    old = _client(authority)
    old.maximum_version = ssl.TLSVersion.TLSv1_2
    async with serving_tls(load(f"{TLS}  min_version: TLS13")) as server:
        with pytest.raises(SSLError):
            await _get(server, old)


async def test_new_certificate_is_used_for_the_next_connection(
    authority: trustme.CA, load: Load, tmp_path: Path
) -> None:
    client = _client(authority)
    async with serving_tls(load(TLS)) as server:
        before = (await _get(server, client)).getpeercert(binary_form=True)
        _write(authority, tmp_path)
        after = (await _get(server, client)).getpeercert(binary_form=True)
        # A key that does not match, as during a rotation.
        trustme.CA().issue_cert("h").private_key_pem.write_to_path(str(tmp_path / "key.pem"))
        unchanged = (await _get(server, client)).getpeercert(binary_form=True)
    assert before != after
    assert after == unchanged


async def test_new_client_authority_applies_to_the_next_connection(
    authority: trustme.CA, load: Load, tmp_path: Path
) -> None:
    client = _client(authority, authority.issue_cert("client.example"))
    async with serving_tls(load(REQUIRE)) as server:
        await _get(server, client)
        trustme.CA().cert_pem.write_to_path(str(tmp_path / "ca.pem"))
        with pytest.raises(SSLError):
            await _get(server, client)


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x01", b"GET / HTTP/1.1\r\n\r\n"])
async def test_stalled_or_invalid_handshake_is_aborted(load: Load, first: bytes) -> None:
    async with serving_tls(load(TLS), Limits(handshake=0.3)) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
        started = time.monotonic()
        writer.write(first)
        with contextlib.suppress(ConnectionResetError):
            assert b"hello" not in await asyncio.wait_for(reader.read(), 9)
        # The default is 10 s.
        assert time.monotonic() - started < 8
        writer.close()
