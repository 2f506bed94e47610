"""Check values that are stored in files: secrets (``x`` or ``x_file``), certificates and keys.

The validation context is the folder of the configuration; relative paths start there. Messages do
not repeat paths, because ``password_file`` may contain a password by accident.
"""

import glob
import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path

from pydantic import ValidationInfo

from exporter.config.pem import check_ca_file, check_key_pair
from exporter.config.secret import Secret, SecretUnreadableError
from exporter.config.value_checks import text_of

TextCheck = Callable[[str], object]

_PATH_MAX = 4096
_SECRET_MAX = 32 * 1024


class SectionError(ValueError):
    """An error of the section that contains the field, not of the field alone."""


def header_safe(text: str) -> None:
    """Raise `ValueError` unless ``text`` can be sent unchanged in an HTTP header."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            "expected only ASCII letters, digits and punctuation, got a space, a line break, a"
            " control character or a non-ASCII character"
        )


def password_safe(text: str) -> None:
    """Raise `ValueError` if ``text`` contains a control character."""
    if re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text):
        raise ValueError("expected a password, got one with a line break or a control character")


def secret_text(check: TextCheck) -> Callable[[object], Secret]:
    """Return a check for a secret written in the configuration itself."""

    def validate(value: object) -> Secret:
        text = text_of(value, "text")
        if not text:
            raise ValueError("expected a secret, got empty text")
        _check_secret(text, check)
        return Secret(text)

    return validate


def _check_secret(text: str, check: TextCheck) -> None:
    if len(text) > _SECRET_MAX:
        raise ValueError(f"expected at most {_SECRET_MAX} characters")
    check(text)


def _secret_file(value: object, folder: Path, check: TextCheck) -> Secret:
    secret = Secret("", _path(value, folder))
    try:
        text = secret.reveal()
    except SecretUnreadableError as error:
        raise ValueError(str(error).replace(f" {secret.file}", "")) from None
    try:
        _check_secret(text, check)
    except ValueError as error:
        raise ValueError(f"content of the file: {error}") from None
    return secret


def either(x: str, check: TextCheck) -> Callable[[object, ValidationInfo], Secret | None]:
    """Return a check for ``x_file`` if exactly one of ``x`` and ``x_file`` is required."""
    check_optional = optional(x, check)

    def validate(value: object, info: ValidationInfo) -> Secret | None:
        # An invalid `x` is missing from the data and already reported; None means not given.
        if value is None and info.data.get(x, x) is None:
            raise SectionError(f"expected {x} or {x}_file, got neither")
        return check_optional(value, info)

    return validate


def optional(x: str, check: TextCheck) -> Callable[[object, ValidationInfo], Secret | None]:
    """Return a check for ``x_file`` if at most one of ``x`` and ``x_file`` is allowed."""

    def validate(value: object, info: ValidationInfo) -> Secret | None:
        if value is None:
            return None
        if info.data.get(x, x) is not None:
            raise ValueError(f"expected only one of {x} and {x}_file, got both")
        return _secret_file(value, _folder(info), check)

    return validate


def _path(value: object, folder: Path) -> Path:
    text = text_of(value, "a file path")
    if not 0 < len(text) <= _PATH_MAX or not text.isprintable():
        raise ValueError("expected a file path of printable characters")
    return folder / text


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context or ".")


def ca_file(value: object, info: ValidationInfo) -> Path:
    """Check a file of trusted CA certificates."""
    path = _path(value, _folder(info))
    check_ca_file(path)
    return path


def readable_file(value: object, info: ValidationInfo) -> Path:
    """Check that a file can be read."""
    path = _path(value, _folder(info))
    try:
        with path.open("rb") as stream:
            stream.read(1)
    except OSError as error:
        raise ValueError(f"cannot be read: {error.strerror}") from None
    return path


def key_file(value: object, info: ValidationInfo) -> Path | None:
    """Check that a key file matches the certificate file, which is validated first."""
    cert_file = info.data.get("cert_file", "wrong")
    if (value is None) != (cert_file is None):
        raise SectionError("expected cert_file and key_file together, got only one of them")
    if value is None:
        return None
    path = readable_file(value, info)
    if isinstance(cert_file, Path):
        check_key_pair(cert_file, path)
    return path


def server_files(value: object, info: ValidationInfo) -> str:
    """Check a glob pattern of server files; the files themselves are read later."""
    return _pattern(value, _folder(info))


def server_files_in(values: Iterable[object], folder: Path) -> list[str]:
    """Return the valid patterns of server files among ``values``."""
    patterns = []
    for value in values:
        with suppress(ValueError):
            patterns.append(_pattern(value, folder))
    return patterns


def _pattern(value: object, folder: Path) -> str:
    _path(value, folder)
    return str(Path(glob.escape(str(folder)), str(value)))
