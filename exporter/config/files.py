"""Values that stand in files: secrets given as ``x`` or ``x_file``, certificates and their keys.

The validation context is the folder of the configuration; relative paths begin there. Paths are
not repeated in messages: a secret written into ``password_file`` by mistake would show.
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
    """A mistake of the section that holds the field, and not of the field alone."""


def header_safe(text: str) -> None:
    """Raise `ValueError` unless ``text`` can be sent in an HTTP header as it is."""
    if not re.fullmatch(r"[!-~]+", text):
        raise ValueError(
            "expected ASCII letters, digits and signs only, got a space, a line break, a control"
            " character or a character beyond ASCII"
        )


def password_safe(text: str) -> None:
    """Raise `ValueError` when ``text`` holds what no password holds: control characters."""
    if re.search("[\x00-\x1f\x7f-\x9f\ud800-\udfff]", text):
        raise ValueError("expected a password, got one with a line break or a control character")


def secret_text(check: TextCheck) -> Callable[[object], Secret]:
    """Return the check of a secret that stands in the configuration itself."""

    def validate(value: object) -> Secret:
        text = text_of(value, "text")
        if not text:
            raise ValueError("expected a secret, got an empty text")
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
        raise ValueError(f"the file's content: {error}") from None
    return secret


def either(x: str, check: TextCheck) -> Callable[[object, ValidationInfo], Secret | None]:
    """Return the check of ``x_file`` where one of ``x`` and ``x_file`` is needed."""
    whichever = optional(x, check)

    def validate(value: object, info: ValidationInfo) -> Secret | None:
        # A wrong `x` is absent from the data, and has been reported: only None was not given.
        if value is None and info.data.get(x, x) is None:
            raise SectionError(f"expected {x} or {x}_file, got neither")
        return whichever(value, info)

    return validate


def optional(x: str, check: TextCheck) -> Callable[[object, ValidationInfo], Secret | None]:
    """Return the check of ``x_file`` where ``x`` and ``x_file`` may both be left out."""

    def validate(value: object, info: ValidationInfo) -> Secret | None:
        if value is None:
            return None
        if info.data.get(x, x) is not None:
            raise ValueError(f"expected only one of {x} and {x}_file, got both")
        return _secret_file(value, _folder(info), check)

    return validate


def _path(value: object, folder: Path) -> Path:
    text = text_of(value, "the path of a file")
    if not 0 < len(text) <= _PATH_MAX or not text.isprintable():
        raise ValueError("expected the path of a file, of printable characters")
    return folder / text


def _folder(info: ValidationInfo) -> Path:
    return Path(info.context or ".")


def ca_file(value: object, info: ValidationInfo) -> Path:
    """Check a file of certificates to trust."""
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
    """Check a key's file against the certificate's, read before it."""
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
    """Check a pattern of server files; which there are is seen when they are read."""
    return _pattern(value, _folder(info))


def server_files_in(values: Iterable[object], folder: Path) -> list[str]:
    """Return those of ``values`` that are patterns of server files."""
    patterns = []
    for value in values:
        with suppress(ValueError):
            patterns.append(_pattern(value, folder))
    return patterns


def _pattern(value: object, folder: Path) -> str:
    _path(value, folder)
    return str(Path(glob.escape(str(folder)), str(value)))
