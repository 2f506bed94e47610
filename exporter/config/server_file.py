"""Files that list servers: which there are, what they hold, and whether they fit together.

Variables are not replaced in them: whoever may write a list of servers could otherwise have the
exporter's secrets told as labels.
"""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import ValidationError

from exporter.config.build import entries_of
from exporter.config.config import Project, ServerEntry
from exporter.config.consistency import repeated
from exporter.config.document import Document
from exporter.config.duration import format_duration
from exporter.config.environment import Data, expand
from exporter.config.errors import ConfigError, ConfigErrorDetail, Finding
from exporter.config.schema import Server, ServerList
from exporter.config.validation_errors import explain
from exporter.config.value_checks import described
from exporter.config.yaml_file import parsed, placed, read_bytes

FILES_MAX = 1000

_LIST = "servers"


class Signature(NamedTuple):
    """What tells without reading whether a file is another than before."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


Found = Mapping[Path, Signature | None]
"""Files and their signatures; None for one that is named and is not there."""


class _Place(NamedTuple):
    """Line and column of a server's id, and of the setting that decides how long a probe lasts."""

    id: tuple[int, int]
    times: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ServerFile:
    """One file as it was read: its servers with their places, or its mistakes."""

    path: Path
    servers: tuple[Server, ...] = ()
    places: tuple[_Place, ...] = ()
    details: tuple[ConfigErrorDetail, ...] = ()


def find_server_files(patterns: Iterable[str]) -> Found:
    """Return the files that patterns match now, in a fixed order.

    A file that is named without a wildcard must be there, and so must the folder of a pattern: a
    disk that is not mounted is no empty list. Raises `ConfigError` when there are too many.
    """
    found: dict[Path, Signature | None] = {}
    for pattern in patterns:
        folder = Path(pattern).parent
        if not glob.has_magic(pattern):
            found[Path(pattern)] = _signature(Path(pattern))
        elif not glob.has_magic(str(folder)) and not folder.is_dir():
            found[folder] = None
        else:
            # Path.glob knows no absolute patterns.
            paths = [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207
            found.update((path, _signature(path)) for path in paths)
        if len(found) > FILES_MAX:
            raise ConfigError(
                [ConfigErrorDetail(Path(pattern), 0, 0, "", f"matches more than {FILES_MAX} files")]
            )
    return found


def _signature(path: Path) -> Signature | None:
    try:
        seen = path.stat()
    except OSError:
        return None
    return Signature(seen.st_ino, seen.st_size, seen.st_mtime_ns, seen.st_ctime_ns)


def read_server_file(path: Path) -> ServerFile:
    """Read and check one file by itself. Never raises: mistakes are part of what is returned."""
    try:
        document = parsed(path, read_bytes(path), "a list of servers")
    except ConfigError as error:
        return ServerFile(path, details=tuple(error.details))
    data, findings = expand(document.root, None)
    servers, refused = _validated(data)
    twice = list(repeated(data if isinstance(data, list) else [], "id", ()))
    details = placed(path, document, [findings, refused, twice])
    if details:
        return ServerFile(path, details=tuple(details))
    places = tuple(_places(document, number, server) for number, server in enumerate(servers))
    return ServerFile(path, tuple(servers), places)


def _validated(data: Data) -> tuple[list[Server], list[Finding]]:
    if not isinstance(data, list):
        return [], [Finding((), f"expected a list of servers, got {described(data)}")]
    try:
        return ServerList.model_validate({_LIST: data}).servers, []
    except ValidationError as error:
        found = explain(error)
        return [], [finding._replace(location=finding.location[1:]) for finding in found]


def _places(document: Document, number: int, server: Server) -> _Place:
    times = "timeout" if server.timeout else "interval" if server.interval else "id"
    return _Place(
        document.place(Finding((number, "id"), "")), document.place(Finding((number, times), ""))
    )


def servers_of_files(
    files: Sequence[ServerFile], interval: float, timeout: float
) -> tuple[Server, ...]:
    """Return the servers of all files together.

    ``interval`` and ``timeout`` (seconds) are what a server has that sets none. Raises
    `ConfigError` with every mistake of every file, and with what does not fit together.
    """
    details = [detail for file in files for detail in file.details]
    first: dict[str, str] = {}
    for file in files:
        for number, (server, place) in enumerate(zip(file.servers, file.places, strict=True)):
            where = f"{file.path}:{place.id[0]}:{place.id[1]}"
            if (other := first.setdefault(server.id, where)) != where:
                message = f"expected a unique id, got that of {other}; remove one of them"
                details.append(ConfigErrorDetail(file.path, *place.id, f"[{number}].id", message))
            own_timeout, own_interval = server.timeout or timeout, server.interval or interval
            if own_timeout >= own_interval:
                message = (
                    f"expected a timeout shorter than the interval, got a timeout of"
                    f" {format_duration(own_timeout)} and an interval of"
                    f" {format_duration(own_interval)}"
                )
                details.append(ConfigErrorDetail(file.path, *place.times, f"[{number}]", message))
    if details:
        raise ConfigError(details)
    return tuple(server for file in files for server in file.servers)


def read_server_files(project: Project) -> tuple[ServerEntry, ...]:
    """Find, read and check the server files of a project; raises `ConfigError`."""
    files = [read_server_file(path) for path in find_server_files(project.server_files)]
    return entries_of(project, servers_of_files(files, project.interval, project.timeout))
