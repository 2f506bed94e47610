"""Check the configuration together with its server files."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from exporter.config.config import Config, Project
from exporter.config.environment import Data, expand
from exporter.config.errors import ConfigError, ConfigErrorDetail
from exporter.config.files import server_files_in
from exporter.config.load import load
from exporter.config.server_file import (
    find_server_files,
    merge_server_files,
    read_server_file,
    read_server_files,
)
from exporter.config.yaml_file import parse_document, read_bytes

# The settings of a project may be invalid: compare only times set in its server files.
_ANY_PROJECT = {"interval": math.inf, "timeout": 0.0}


def check(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration and its server files; return it with the servers of both.

    If both list a server, the entry in the configuration wins. Raises `ConfigError` with all
    errors of all files.
    """
    try:
        config = load(path, environ)
    except ConfigError as error:
        raise ConfigError([*error.details, *_server_file_errors(path, environ)]) from None
    details: list[ConfigErrorDetail] = []
    projects: list[Project] = []
    for project in config.projects:
        try:
            projects.append(_with_server_files(project))
        except ConfigError as error:
            details += error.details
    if details:
        raise ConfigError(details)
    return replace(config, projects=tuple(projects))


def _with_server_files(project: Project) -> Project:
    listed = {server.id for server in project.servers}
    added = [server for server in read_server_files(project) if server.id not in listed]
    return replace(project, servers=(*project.servers, *added))


def _server_file_errors(path: Path, environ: Mapping[str, str]) -> list[ConfigErrorDetail]:
    """Return the errors of the server files when the configuration is invalid too."""
    details: list[ConfigErrorDetail] = []
    for patterns in _patterns(path, environ):
        try:
            merge_server_files(
                [read_server_file(file, _ANY_PROJECT) for file in find_server_files(patterns)]
            )
        except ConfigError as error:
            details += error.details
    return details


def _patterns(path: Path, environ: Mapping[str, str]) -> Iterator[list[str]]:
    try:
        document = parse_document(path, read_bytes(path), "")
    except ConfigError:
        return
    root, _ = expand(document.root, environ)
    for project in _list(root, "projects"):
        yield server_files_in(_list(project, "server_files"), path.parent)


def _list(data: Data, key: str) -> list[Data]:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, list) else []
