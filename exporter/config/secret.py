"""A secret from the configuration, or from a file that is read again at each use."""

from dataclasses import dataclass
from pathlib import Path

HIDDEN = "<secret>"
_FILE_MAX_BYTES = 64 * 1024


class SecretUnreadableError(Exception):
    """A secret file cannot be read; the message names the file, never its content."""


@dataclass(frozen=True, slots=True, repr=False)
class Secret:
    """A secret text, hidden from ``repr`` and ``str``; `reveal` returns it."""

    _text: str = ""
    file: Path | None = None

    def reveal(self) -> str:
        """Return the secret; line breaks at the ends of a file are removed.

        Raises `SecretUnreadableError` if the file is missing, unreadable, too large or empty.
        """
        if self.file is None:
            return self._text
        try:
            with self.file.open("rb") as stream:
                raw = stream.read(_FILE_MAX_BYTES + 1)
            text = raw.decode().strip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "is not UTF-8 text"
            raise SecretUnreadableError(f"cannot read secret file {self.file}: {reason}") from None
        if len(raw) > _FILE_MAX_BYTES:
            raise SecretUnreadableError(
                f"secret file {self.file} is larger than {_FILE_MAX_BYTES} bytes"
            )
        if not text:
            raise SecretUnreadableError(f"secret file {self.file} is empty")
        return text

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__
