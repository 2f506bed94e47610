"""Read a configuration file whole, or say everything that is wrong with it."""

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
from exporter.config.yaml_file import MAX_BYTES, parsed, placed, read_bytes

__all__ = ["MAX_BYTES", "ConfigError", "ConfigErrorDetail", "json_schema", "load"]


def load(path: Path, environ: Mapping[str, str]) -> Config:
    """Read, check and resolve the configuration at ``path``.

    ``environ`` replaces ``${VAR}``. Raises `ConfigError` with every mistake that can be found; a
    file that is no YAML shows its first one only.
    """
    raw = read_bytes(path)
    document = parsed(path, raw, "a mapping with projects")
    data, findings = expand(document.root, environ)
    root, refused = _validated(data, path.parent)
    details = placed(path, document, [findings, refused, list(inconsistencies(data))])
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
