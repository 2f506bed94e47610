"""Load a configuration file, or report all its errors at once."""

import hashlib
from collections.abc import Mapping
from pathlib import Path

from pydantic import ValidationError

from exporter.config.build import build_projects
from exporter.config.config import Config
from exporter.config.consistency import inconsistencies
from exporter.config.editor_schema import json_schema
from exporter.config.environment import Data, expand
from exporter.config.errors import ConfigError, ConfigErrorDetail, Finding
from exporter.config.rendering import as_yaml
from exporter.config.schema import Root
from exporter.config.validation_errors import explain
from exporter.config.yaml_file import MAX_BYTES, locate, parse_document, read_bytes

__all__ = ["MAX_BYTES", "ConfigError", "ConfigErrorDetail", "json_schema", "load"]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and resolve the configuration at ``path``.

    ``environ`` holds the values for ``${VAR}``. Raises `ConfigError` with all errors; for invalid
    YAML, only with the first one.
    """
    raw = read_bytes(path)
    document = parse_document(path, raw, "a mapping with projects")
    data, findings = expand(document.root, environ)
    root, schema_findings = _validated(data, path.parent)
    details = locate(path, document, [findings, schema_findings, list(inconsistencies(data))])
    if root is None or details:
        raise ConfigError(details)
    projects = build_projects(root)
    return Config(
        projects=projects,
        history=root.global_.history,
        sha256=hashlib.sha256(raw).digest(),
        as_yaml=as_yaml(root.global_, projects),
    )


def _validated(data: Data, folder: Path) -> tuple[Root | None, list[Finding]]:
    try:
        return Root.model_validate(data, context=folder), []
    except ValidationError as error:
        return None, explain(error)
