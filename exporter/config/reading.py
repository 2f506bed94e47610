"""What a file holds, read whole and bounded, and its mistakes with their places."""

from collections.abc import Iterable
from pathlib import Path

from exporter.config.document import Document
from exporter.config.mistake import ConfigError, Finding, Location, Mistake, path_text

MAX_BYTES = 64 * 1024 * 1024


def read(path: Path) -> bytes:
    """Return the bytes of a file; raises `ConfigError` when it cannot be read or is too large."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(MAX_BYTES + 1)
    except OSError as error:
        raise _whole_file(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise _whole_file(path, "cannot be read: not a path") from None
    if len(raw) > MAX_BYTES:
        raise _whole_file(path, f"is larger than {MAX_BYTES // 1024**2} MiB")
    return raw


def decoded(path: Path, raw: bytes) -> str:
    """Return a file's bytes as text; raises `ConfigError` when they are not UTF-8."""
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _whole_file(path, f"is not UTF-8 text: line {line} holds other bytes") from None


def _whole_file(path: Path, message: str) -> ConfigError:
    return ConfigError([Mistake(path, 0, 0, "", message)])


def placed(path: Path, document: Document, rounds: Iterable[list[Finding]]) -> list[Mistake]:
    """Return the faults of a document and what rounds of checks found, each with its place.

    A value that one round has refused is not refused again for what follows from it.
    """
    mistakes = [
        Mistake(path, line, column, path_text(location), message)
        for line, column, location, message in document.faults
    ]
    refused: set[tuple[Location, bool]] = set()
    for findings in rounds:
        for finding in findings:
            if (finding.location, finding.on_key) not in refused:
                line, column = document.place(finding)
                place = path_text(finding.location)
                mistakes.append(Mistake(path, line, column, place, finding.message))
        refused.update((finding.location, finding.on_key) for finding in findings)
    return mistakes
