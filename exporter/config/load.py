"""Read a configuration file whole, or say everything that is wrong with it."""

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import ValidationError

from exporter.config.build import build_projects
from exporter.config.config import Config
from exporter.config.consistency import inconsistencies
from exporter.config.document import Document, DocumentError, read_document
from exporter.config.editor_schema import json_schema
from exporter.config.environment import Data, expand
from exporter.config.explain import explain
from exporter.config.mistake import ConfigError, Finding, Location, Mistake, path_text
from exporter.config.rendering import as_yaml
from exporter.config.schema import Root

__all__ = ["ConfigError", "Mistake", "json_schema", "load"]

MAX_BYTES = 64 * 1024 * 1024


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and resolve the configuration at ``path``.

    ``environ`` replaces ``${VAR}``. Raises `ConfigError` with every mistake that can be found; a
    file that is no YAML shows its first one only.
    """
    raw = _read(path)
    try:
        document = read_document(_decoded(path, raw))
    except DocumentError as error:
        raise ConfigError([Mistake(path, error.line, error.column, "", error.message)]) from None
    data, findings = expand(document.root, environ)
    root, refused = _validated(data, path.parent)
    mistakes = _mistakes(path, document, [findings, refused, list(inconsistencies(data))])
    if root is None or mistakes:
        raise ConfigError(mistakes)
    projects = build_projects(root)
    return Config(
        projects=projects,
        history=root.global_.history,
        sha256=hashlib.sha256(raw).digest(),
        as_yaml=as_yaml(root.global_, projects),
    )


def _read(path: Path) -> bytes:
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


def _decoded(path: Path, raw: bytes) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        raise _whole_file(path, f"is not UTF-8 text: line {line} holds other bytes") from None


def _whole_file(path: Path, message: str) -> ConfigError:
    return ConfigError([Mistake(path, 0, 0, "", message)])


def _validated(data: Data, folder: Path) -> tuple[Root | None, list[Finding]]:
    try:
        return Root.model_validate(data, context=folder), []
    except ValidationError as error:
        return None, explain(error)


def _mistakes(path: Path, document: Document, rounds: Iterable[list[Finding]]) -> list[Mistake]:
    mistakes = [
        Mistake(path, line, column, path_text(location), message)
        for line, column, location, message in document.faults
    ]
    # A value that one round of checks has refused is not refused again for what follows from it.
    refused: set[tuple[Location, bool]] = set()
    for findings in rounds:
        for finding in findings:
            if (finding.location, finding.on_key) not in refused:
                line, column = document.place(finding)
                place = path_text(finding.location)
                mistakes.append(Mistake(path, line, column, place, finding.message))
        refused.update((finding.location, finding.on_key) for finding in findings)
    return mistakes
