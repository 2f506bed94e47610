"""Certificate and key files are checked when the configuration is loaded."""

from collections.abc import Callable
from pathlib import Path

import pytest
import trustme
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
    load_pem_private_key,
)

from exporter.config.config import Config, Tls

Load = Callable[..., Config]
Errors = Callable[..., list[str]]
PAIR = "    tls: {cert_file: cert.pem, key_file: key.pem}\n"


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def files(authority: trustme.CA, tmp_path: Path) -> Path:
    certificate = authority.issue_cert("client.example.com")
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    certificate.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    certificate.private_key_pem.write_to_path(tmp_path / "key.pem")
    return tmp_path


def test_valid_files_are_stored_as_paths(files: Path, load_text: Load, minimal: str) -> None:
    text = "    tls:\n      ca_file: ca.pem\n      cert_file: cert.pem\n      key_file: key.pem\n"
    config = load_text(minimal + text + "      server_name: clouddc.internal\n")
    assert config.projects[0].tls == Tls(
        ca_file=files / "ca.pem",
        cert_file=files / "cert.pem",
        key_file=files / "key.pem",
        server_name="clouddc.internal",
    )


@pytest.mark.usefixtures("files")
def test_key_of_another_certificate_is_rejected(
    authority: trustme.CA, errors: Errors, minimal: str, tmp_path: Path
) -> None:
    authority.issue_cert("other.example.com").private_key_pem.write_to_path(tmp_path / "key.pem")
    assert errors(minimal + PAIR) == [
        "projects[0].tls.key_file: expected the key of cert_file, got another key"
    ]


def test_key_with_a_passphrase_is_rejected_without_prompting(
    files: Path, errors: Errors, minimal: str
) -> None:
    key = load_pem_private_key((files / "key.pem").read_bytes(), password=None)
    (files / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, BestAvailableEncryption(b"passphrase"))
    )
    assert errors(minimal + PAIR) == [
        "projects[0].tls.key_file: expected a key without a passphrase, got an encrypted one"
    ]


def test_swapped_files_are_rejected(files: Path, errors: Errors, minimal: str) -> None:
    cert, key = (files / "cert.pem").read_bytes(), (files / "key.pem").read_bytes()
    (files / "cert.pem").write_bytes(key)
    (files / "key.pem").write_bytes(cert)
    [message] = errors(minimal + PAIR)
    assert message.startswith(
        "projects[0].tls.key_file: expected a PEM certificate (cert_file) and its PEM key"
    )
