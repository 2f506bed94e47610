"""Check certificate and key files before they are used."""

import contextlib
import os
import ssl
from collections.abc import Iterator
from pathlib import Path


def check_ca_file(path: Path) -> None:
    """Raise `ValueError` unless ``path`` holds PEM certificates."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=path)
    except ssl.SSLError as error:
        raise ValueError(f"expected PEM certificates: {_reason(error)}") from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


def check_key_pair(cert_file: Path, key_file: Path) -> None:
    """Raise `ValueError` unless the files are a PEM certificate and its unencrypted PEM key."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_cert_chain(cert_file, key_file, _no_password)
    except ssl.SSLError as error:
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ValueError("expected the key of cert_file, got another key") from None
        raise ValueError(
            f"expected a PEM certificate (cert_file) and its PEM key: {_reason(error)}"
        ) from None
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None


@contextlib.contextmanager
def pem_files(*texts: bytes) -> Iterator[list[Path]]:
    """Yield the paths of in-memory files that hold ``texts``: OpenSSL reads only files."""
    descriptors: list[int] = []
    try:
        for text in texts:
            descriptors.append(os.memfd_create("pem"))
            with os.fdopen(descriptors[-1], "wb", closefd=False) as stream:
                stream.write(text)
        yield [Path(f"/proc/self/fd/{descriptor}") for descriptor in descriptors]
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def _no_password() -> str:
    # Without this callback, OpenSSL would ask for the passphrase on the terminal and wait.
    raise ValueError("expected a key without a passphrase, got an encrypted one")


def _reason(error: ssl.SSLError) -> str:
    return (error.reason or "cannot be read").lower().replace("_", " ")
