"""Read YAML files, and convert findings to errors with line and column."""

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
        raise file_error(path, f"cannot be read: {error.strerror}") from None
    except ValueError:
        raise file_error(path, "cannot be read: invalid path") from None
    if len(raw) > limit:
        raise file_error(path, f"is larger than {limit // 1024**2} MiB")
    return raw


def parse_document(path: Path, raw: bytes, expected: str) -> Document:
    """Parse ``raw`` as one YAML document with the ``expected`` content. Raises `ConfigError`."""
    try:
        return read_document(_decoded(path, raw), expected)
    except DocumentError as error:
        raise ConfigError(
            [ConfigErrorDetail(path, error.line, error.column, "", error.message)]
        ) from None


def locate(
    path: Path, document: Document, rounds: Iterable[list[Finding]]
) -> list[ConfigErrorDetail]:
    """Return the document's faults and the findings of several rounds of checks, with positions."""
    details = [
        ConfigErrorDetail(path, line, column, path_text(location), message)
        for line, column, location, message in document.faults
    ]
    # A value rejected in one round is not reported again in a later round.
    rejected: set[tuple[Location, bool]] = set()
    for findings in rounds:
        for finding in findings:
            if (finding.location, finding.on_key) not in rejected:
                line, column = document.place(finding)
                where = path_text(finding.location)
                details.append(ConfigErrorDetail(path, line, column, where, finding.message))
        rejected.update((finding.location, finding.on_key) for finding in findings)
    return details


def file_error(path: Path, message: str) -> ConfigError:
    """Return the error of a file as a whole."""
    return ConfigError([ConfigErrorDetail(path, 0, 0, "", message)])


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise file_error(path, f"is not UTF-8 text: invalid bytes in line {line}") from None
