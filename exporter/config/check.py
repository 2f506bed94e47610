"""The configuration and the server files that it names, checked at once."""

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
    read_server_file,
    read_server_files,
    servers_of_files,
)
from exporter.config.yaml_file import parsed, read_bytes


def check(path: Path, environ: Mapping[str, str]) -> Config:
    """Read a configuration and its server files; return it with all servers listed.

    A server that the configuration itself lists stands as it is there. Raises `ConfigError` with
    every mistake of all files.
    """
    try:
        config = load(path, environ)
    except ConfigError as error:
        raise ConfigError([*error.details, *_mistakes_of_files(path, environ)]) from None
    details: list[ConfigErrorDetail] = []
    projects: list[Project] = []
    for project in config.projects:
        try:
            projects.append(_with_files(project))
        except ConfigError as error:
            details += error.details
    if details:
        raise ConfigError(details)
    return replace(config, projects=tuple(projects))


def _with_files(project: Project) -> Project:
    listed = {server.id for server in project.servers}
    more = [server for server in read_server_files(project) if server.id not in listed]
    return replace(project, servers=(*project.servers, *more))


def _mistakes_of_files(path: Path, environ: Mapping[str, str]) -> list[ConfigErrorDetail]:
    """Return what is wrong with server files whose configuration is wrong too."""
    details: list[ConfigErrorDetail] = []
    for patterns in _patterns(path, environ):
        try:
            files = [read_server_file(file) for file in find_server_files(patterns)]
            # What the project sets may be what is wrong: only what they set themselves is told.
            servers_of_files(files, interval=math.inf, timeout=0.0)
        except ConfigError as error:
            details += error.details
    return details


def _patterns(path: Path, environ: Mapping[str, str]) -> Iterator[list[str]]:
    try:
        document = parsed(path, read_bytes(path), "")
    except ConfigError:
        return
    root, _ = expand(document.root, environ)
    for project in _below(root, "projects"):
        yield server_files_in(_below(project, "server_files"), path.parent)


def _below(data: Data, key: str) -> list[Data]:
    below = data.get(key) if isinstance(data, dict) else None
    return below if isinstance(below, list) else []
