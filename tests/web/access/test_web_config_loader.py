"""Loading of the web configuration: valid keys, errors, agreement with promtool."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from exporter.config.errors import ConfigError
from exporter.web.access.tls_names import ClientCertificate
from exporter.web.access.web_config import WebConfig
from exporter.web.access.web_config_loader import load_web_config
from tests.real.certificates import Certificates
from tests.real.programs import required

Errors = Callable[[str], list[str]]
# The password is hunter2.
HASH = "$2y$04$cnyRtc/Oifgk7dGLtyFuUOg6XdI5TJZn0Sbbdc0ovLEsrtfHWEzGW"
PAIR = "  cert_file: certificate.pem\n  key_file: key.pem\n"
EVERYTHING = f"""\
tls_server_config:
{PAIR}  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.pem
  min_version: TLS12
  max_version: TLS13
  cipher_suites:
    - TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384
    - TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256
    - TLS_AES_128_GCM_SHA256
  prefer_server_cipher_suites: false
  curve_preferences: [CurveP384]
http_server_config:
  http2: true
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: "0"
    Strict-Transport-Security: max-age=31536000
basic_auth_users:
  prometheus: {HASH}
  "on": "{HASH}"
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    certificates = Certificates()
    certificates.write_authority(tmp_path / "ca.pem")
    certificates.write_good(tmp_path)
    return tmp_path


@pytest.fixture
def loaded(folder: Path) -> Callable[[str], WebConfig]:
    def load(text: str) -> WebConfig:
        (folder / "web.yml").write_text(text)
        return load_web_config(folder / "web.yml")

    return load


@pytest.fixture
def errors_of(loaded: Callable[[str], WebConfig]) -> Errors:
    def errors(text: str) -> list[str]:
        with pytest.raises(ConfigError) as caught:
            loaded(text)
        assert "hunter2" not in f"{caught.value}"
        return [f"{m.line}:{m.column} {m.path}: {m.message}" for m in caught.value.details]

    return errors


def test_every_key_is_read(loaded: Callable[[str], WebConfig], folder: Path) -> None:
    config = loaded(EVERYTHING)
    assert config.tls is not None
    assert config.tls.certificate == (folder / "certificate.pem").read_bytes()
    assert config.tls.key == (folder / "key.pem").read_bytes()
    assert config.tls.client_ca == (folder / "ca.pem").read_bytes()
    assert config.tls.client_certificate is ClientCertificate.REQUIRED
    assert (config.tls.oldest, config.tls.newest) == (2, 3)
    assert config.tls.ciphers == ("ECDHE-RSA-AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-GCM-SHA256")
    assert config.tls.curve == "secp384r1"
    assert not config.tls.prefer_server_ciphers
    assert dict(config.headers)["X-Frame-Options"] == "deny"
    assert len(config.headers) == 5
    assert dict(config.users) == {"prometheus": HASH, "on": HASH}
    names = ("web.yml", "certificate.pem", "key.pem", "ca.pem")
    assert config.files == tuple(folder / name for name in names)


def test_repr_contains_no_secret(loaded: Callable[[str], WebConfig]) -> None:
    shown = repr(loaded(EVERYTHING))
    assert "PRIVATE KEY" not in shown
    assert HASH not in shown


def test_promtool_accepts_the_same_file(loaded: Callable[[str], WebConfig], folder: Path) -> None:
    loaded(EVERYTHING)
    subprocess.run([required("promtool"), "check", "web-config", "web.yml"], check=True, cwd=folder)


def test_pem_texts_can_be_inline(loaded: Callable[[str], WebConfig], folder: Path) -> None:
    texts = {"cert": "certificate.pem", "key": "key.pem", "client_ca": "ca.pem"}
    text = "tls_server_config:\n  client_auth_type: VerifyClientCertIfGiven\n"
    for key, name in texts.items():
        pem = (folder / name).read_text()
        text += f"  {key}: |\n" + "".join(f"    {line}\n" for line in pem.splitlines())
    config = loaded(text)
    assert config.tls is not None
    assert config.tls.client_certificate is ClientCertificate.VERIFIED_IF_GIVEN
    assert config.files == (folder / "web.yml",)
    assert config.tls.key.startswith(b"-----BEGIN")


def test_only_tls_13_suites_disable_older_versions(
    loaded: Callable[[str], WebConfig],
) -> None:
    config = loaded(f"tls_server_config:\n{PAIR}  cipher_suites: [TLS_AES_256_GCM_SHA384]\n")
    assert config.tls is not None
    assert (config.tls.oldest, config.tls.ciphers) == (3, ())


def test_variables_are_not_expanded(loaded: Callable[[str], WebConfig]) -> None:
    text = "http_server_config: {headers: {X-XSS-Protection: '${HOME}'}}"
    assert loaded(text).headers == (("X-XSS-Protection", "${HOME}"),)


TLS = f"tls_server_config:\n{PAIR}"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tls_server_confg: {}", "1:1 tls_server_confg: unknown key; did you mean"),
        ("# nothing\n", "0:0 : the file is empty; expected tls_server_config, http_server_config"),
        ("tls_server_config: {}", "1:20 tls_server_config: expected cert_file or cert, got n"),
        (f"{TLS}  cert: |\n    -----BEGIN X", "4:9 tls_server_config.cert: expected only one of"),
        (f"{TLS}  key: hunter2", "4:8 tls_server_config.key: expected PEM text, got text without"),
        (
            "tls_server_config: {cert_file: no.pem, key_file: key.pem}",
            "1:32 tls_server_config.cert_file: cannot be read: No such file",
        ),
        (
            "tls_server_config: {cert_file: ca.pem, key_file: key.pem}",
            "1:50 tls_server_config.key_file: expected the key of cert_file, got another key",
        ),
        (f"{TLS}  client_auth_type: Verify", "4:21 tls_server_config.client_auth_type: expected"),
        (
            f"{TLS}  client_auth_type: RequireAnyClientCert",
            "4:21 tls_server_config.client_auth_type: RequireAnyClientCert asks for a certificat",
        ),
        (f"{TLS}  client_auth_type: RequireAndVerifyClientCert", "needs client_ca_file"),
        (f"{TLS}  client_ca_file: ca.pem", "expected RequireAndVerifyClientCert with client_ca_"),
        (
            f"{TLS}  client_auth_type: VerifyClientCertIfGiven\n  client_ca_file: web.yml",
            "5:19 tls_server_config.client_ca_file: expected PEM certificates",
        ),
        (f"{TLS}  client_allowed_sans: [a]", "expected client_auth_type: RequireAndVerifyClient"),
        (f"{TLS}  min_version: SSL3", "expected TLS10, TLS11, TLS12 or TLS13, got 'SSL3'"),
        (f"{TLS}  max_version: TLS11", "OpenSSL supports TLS 1.2 and newer"),
        (f"{TLS}  min_version: TLS13\n  max_version: TLS12", "5:16 tls_server_config.max_version"),
        (f"{TLS}  cipher_suites: [RC4]", "4:19 tls_server_config.cipher_suites[0]: expected TLS_"),
        (
            f"{TLS}  cipher_suites: [TLS_AES_128_GCM_SHA256]\n  max_version: TLS12",
            "expected a suite of TLS 1.2",
        ),
        (f"{TLS}  curve_preferences: [X25519, CurveP256]", "expected one curve: this server supp"),
        (f"{TLS}  curve_preferences: [X448]", "expected CurveP256, CurveP384, CurveP521 or X2551"),
        ("http_server_config: {http2: maybe}", "expected true or false, got 'maybe'"),
        (
            "http_server_config: {headers: {Server: x}}",
            "http_server_config.headers.Server: unknown key; expected one of Content-Security-Po",
        ),
        (
            "http_server_config: {headers: {X-Frame-Options: allow}}",
            "expected deny or sameorigin, got 'allow'",
        ),
        (
            'http_server_config: {headers: {X-XSS-Protection: "1\\r\\nSet-Cookie: a=b"}}',
            "expected a header's value: ASCII, on one line",
        ),
        ("basic_auth_users: {a: hunter2}", "1:23 basic_auth_users.a: expected a bcrypt hash"),
        (
            f"basic_auth_users: {{a: '{HASH.replace('$04', '$17')}'}}",
            "expected a bcrypt hash of cost 14 or less, got 17",
        ),
        (f"basic_auth_users: {{'a:b': '{HASH}'}}", '1:20 basic_auth_users["a:b"]: expected a user'),
        (f"basic_auth_users:\n  a: '{HASH}'\n  a: '{HASH}'", "duplicate key, first set in line 2"),
        ("basic_auth_users: [a]", "1:19 basic_auth_users: expected a mapping, got a list"),
        ("rate_limit: {interval: 1s}", "1:1 rate_limit: unknown key; expected one of"),
    ],
)
def test_error_has_its_position_and_what_is_expected(
    errors_of: Errors, text: str, message: str
) -> None:
    assert message in "\n".join(errors_of(text))


def test_all_errors_are_reported_at_once(errors_of: Errors) -> None:
    assert len(errors_of("basic_auth_users: {a: x, b: y}\nhttp_server_config: {http3: true}")) == 3


def test_unreadable_file_gives_one_clear_line(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"no\.yml: cannot be read: No such file"):
        load_web_config(tmp_path / "no.yml")
