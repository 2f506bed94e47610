"""A secret from the configuration, or from a file that is read again at each use."""

from pathlib import Path
from typing import Final

HIDDEN = "<secret>"
_FILE_MAX_BYTES = 64 * 1024


class SecretUnreadableError(Exception):
    """A secret file cannot be read; the message names the file, never its content."""


class Secret:
    """A secret text, hidden from ``repr`` and ``str``; `reveal` returns it.

    Not a dataclass: `dataclasses.asdict` and pydantic show the fields of those.
    """

    __slots__ = ("_text", "file")

    def __init__(self, text: str = "", file: Path | None = None) -> None:
        self._text: Final = text
        self.file: Final = file

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

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return (self._text, self.file) == (other._text, other.file)

    def __hash__(self) -> int:
        return hash((self._text, self.file))

    def __repr__(self) -> str:
        return HIDDEN

    __str__ = __repr__
