"""Whether certificate files can be used, found out before they are needed."""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path


def check_ca_file(path: Path) -> None:
    """Raise `ValueError` when ``path`` holds no certificates in PEM form."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"expected certificates in PEM form: {_reason(error)}") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def check_key_pair(cert_file: Path, key_file: Path) -> None:
    """Raise `ValueError` when the two are no certificate and its unencrypted key, in PEM form."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("expected the key of cert_file, got the key of another") from None
        raise ValueError(
            f"expected the PEM files of a certificate (cert_file) and its key: {_reason(error)}"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def pem_files(*texts: bytes) -> Iterator[list[Path]]:
    """Yield paths of the texts, held in memory: OpenSSL takes files, and a key stays off disks."""
    held: list[int] = []
    try:
        for text in texts:
            held.append(os.memfd_create("pem"))
            with os.fdopen(held[-1], "wb", closefd=False) as stream:
                stream.write(text)
        yield [Path(f"/proc/self/fd/{one}") for one in held]
    finally:
        for one in held:
            os.close(one)


def _no_password() -> str:
    # Without this, OpenSSL would ask on the terminal and wait.
    raise ValueError("expected a key without a passphrase, got an encrypted one")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "cannot be read").lower().replace("_", " ")
