"""A file of ours from bytes to a document, and findings to mistakes with their places."""

from collections.abc import Iterable
from pathlib import Path

from exporter.config.document import Document, DocumentError, read_document
from exporter.config.errors import ConfigError, ConfigErrorDetail, Finding, Location, path_text

MAX_BYTES = 64 * 1024 * 1024


def read_bytes(path: Path, limit: int = MAX_BYTES) -> bytes:
    """Read a file of at most ``limit`` bytes. Raises `ConfigError`."""
    try:
        with path.open("rb") as stream:
            raw = stream.read(limit + 1)
    except OSError as error:
        raise whole_file(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise whole_file(path, "cannot be read: not a path") from None
    if len(raw) > limit:
        raise whole_file(path, f"is larger than {limit // 1024**2} MiB")
    return raw


def parsed(path: Path, raw: bytes, expected: str) -> Document:
    """Read ``raw`` as one YAML document of ``expected`` content. Raises `ConfigError`."""
    try:
        return read_document(_decoded(path, raw), expected)
    except DocumentError as error:
        raise ConfigError(
            [ConfigErrorDetail(path, error.line, error.column, "", error.message)]
        ) from None


def placed(
    path: Path, document: Document, rounds: Iterable[list[Finding]]
) -> list[ConfigErrorDetail]:
    """Return the document's own faults and the findings of several rounds of checks."""
    details = [
        ConfigErrorDetail(path, line, column, path_text(location), message)
        for line, column, location, message in document.faults
    ]
    # A value that one round of checks has refused is not refused again for what follows from it.
    refused: set[tuple[Location, bool]] = set()
    for findings in rounds:
        for finding in findings:
            if (finding.location, finding.on_key) not in refused:
                line, column = document.place(finding)
                place = path_text(finding.location)
                details.append(ConfigErrorDetail(path, line, column, place, finding.message))
        refused.update((finding.location, finding.on_key) for finding in findings)
    return details


def whole_file(path: Path, message: str) -> ConfigError:
    """Return the mistake that a file as a whole is."""
    return ConfigError([ConfigErrorDetail(path, 0, 0, "", message)])


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise whole_file(path, f"is not UTF-8 text: line {line} holds other bytes") from None
