"""Load a configuration file, or report all its errors at once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from exporter.config.config import Config, ConfigFile
from exporter.config.consistency import inconsistencies
from exporter.config.editor_schema import json_schema
from exporter.config.environment import Data, expand
from exporter.config.errors import ConfigError, ConfigErrorDetail, Finding
from exporter.config.validation_errors import explain
from exporter.config.yaml_file import MAX_BYTES, locate, parse_document, read_bytes

__all__ = ["MAX_BYTES", "ConfigError", "ConfigErrorDetail", "json_schema", "load"]

_FILE = TypeAdapter(ConfigFile)


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and resolve the configuration at ``path``.

    ``environ`` holds the values for ``${VAR}``. Raises `ConfigError` with all errors; for invalid
    YAML, only with the first one.
    """
    raw = read_bytes(path)
    document = parse_document(path, raw, "a mapping with projects")
    data, findings = expand(document.root, environ)
    file, schema_findings = _validated(data, path.parent)
    details = locate(path, document, [findings, schema_findings, list(inconsistencies(data))])
    if file is None or details:
        raise ConfigError(details)
    return Config(file.global_, file.projects, hashlib.sha256(raw).digest())


def _validated(data: Data, folder: Path) -> tuple[ConfigFile | None, list[Finding]]:
    try:
        return _FILE.validate_python(data, context=folder), []
    except ValidationError as error:
        return None, explain(error)
