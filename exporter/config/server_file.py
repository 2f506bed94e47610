"""Find, read and check the files that list servers.

Environment variables are not replaced in them. Otherwise a user who may only write server lists
could expose the exporter's secrets as labels.
"""

import glob
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from pydantic import TypeAdapter, ValidationError

from exporter.config.config import Project, ServerEntry
from exporter.config.consistency import repeated
from exporter.config.document import Document
from exporter.config.duration import format_duration
from exporter.config.environment import Data, expand
from exporter.config.errors import ConfigError, ConfigErrorDetail, Finding
from exporter.config.section import inherit_all, inherited
from exporter.config.validation_errors import explain
from exporter.config.value_checks import described
from exporter.config.yaml_file import locate, parse_document, read_bytes

FILES_MAX = 1000

_SERVERS = TypeAdapter(tuple[ServerEntry, ...])


class Signature(NamedTuple):
    """File attributes that show a change without reading the file."""

    inode: int
    size: int
    modified_ns: int
    changed_ns: int


FoundFiles = Mapping[Path, Signature | None]
"""Files and their signatures; None for a named file that does not exist."""


class _Place(NamedTuple):
    """Line and column of a server's id, and of its timeout or interval."""

    id: tuple[int, int]
    times: tuple[int, int]


@dataclass(frozen=True, slots=True)
class ServerFile:
    """One parsed file: its servers with their positions, or its errors.

    The servers are those of one project, whose settings they inherit.
    """

    path: Path
    servers: tuple[ServerEntry, ...] = ()
    places: tuple[_Place, ...] = ()
    details: tuple[ConfigErrorDetail, ...] = ()


def find_server_files(patterns: Iterable[str]) -> FoundFiles:
    """Return the files that match the patterns, in a fixed order.

    A path without a wildcard must exist, and so must the folder of a pattern, so that a disk that
    is not mounted does not count as an empty list. Raises `ConfigError` if there are too many.
    """
    found: dict[Path, Signature | None] = {}
    for pattern in patterns:
        folder = Path(pattern).parent
        if not glob.has_magic(pattern):
            found[Path(pattern)] = _signature(Path(pattern))
        elif not glob.has_magic(str(folder)) and not folder.is_dir():
            found[folder] = None
        else:
            # Path.glob does not support absolute patterns.
            paths = [Path(name) for name in sorted(glob.glob(pattern))]  # noqa: PTH207
            found.update((path, _signature(path)) for path in paths)
        if len(found) > FILES_MAX:
            raise ConfigError(
                [ConfigErrorDetail(Path(pattern), 0, 0, "", f"matches more than {FILES_MAX} files")]
            )
    return found


def _signature(path: Path) -> Signature | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return Signature(stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns)


def read_server_file(path: Path, defaults: Mapping[str, object]) -> ServerFile:
    """Read and check one file. Never raises; errors are in ``details`` of the result.

    ``defaults`` are the settings of servers without their own, as `inherited` returns them.
    """
    try:
        document = parse_document(path, read_bytes(path), "a list of servers")
    except ConfigError as error:
        return ServerFile(path, details=tuple(error.details))
    data, findings = expand(document.root, None)
    servers, schema_findings = _validated(data, defaults)
    items = data if isinstance(data, list) else []
    details = locate(path, document, [findings, schema_findings, list(repeated(items, "id", ()))])
    if details:
        return ServerFile(path, details=tuple(details))
    places = tuple(_place(document, number, item) for number, item in enumerate(items))
    return ServerFile(path, servers, places)


def _validated(
    data: Data, defaults: Mapping[str, object]
) -> tuple[tuple[ServerEntry, ...], list[Finding]]:
    if not isinstance(data, list):
        return (), [Finding((), f"expected a list of servers, got {described(data)}")]
    try:
        return _SERVERS.validate_python(inherit_all(data, defaults)), []
    except ValidationError as error:
        return (), explain(error, {"": ServerEntry})


def _place(document: Document, number: int, server: Data) -> _Place:
    given = server if isinstance(server, dict) else {}
    times = next((key for key in ("timeout", "interval") if given.get(key) is not None), "id")
    return _Place(
        document.place(Finding((number, "id"), "")), document.place(Finding((number, times), ""))
    )


def merge_server_files(files: Sequence[ServerFile]) -> tuple[ServerEntry, ...]:
    """Return the servers of all files.

    Raises `ConfigError` with the errors of all files, duplicate ids, and timeouts that are too
    long.
    """
    details = [detail for file in files for detail in file.details]
    first: dict[str, str] = {}
    for file in files:
        for number, (server, place) in enumerate(zip(file.servers, file.places, strict=True)):
            where = f"{file.path}:{place.id[0]}:{place.id[1]}"
            if (other := first.setdefault(server.id, where)) != where:
                message = f"expected a unique id, but {other} is the same; remove one of them"
                details.append(ConfigErrorDetail(file.path, *place.id, f"[{number}].id", message))
            if server.timeout >= server.interval:
                message = (
                    f"expected a timeout shorter than the interval, got a timeout of"
                    f" {format_duration(server.timeout)} and an interval of"
                    f" {format_duration(server.interval)}"
                )
                details.append(ConfigErrorDetail(file.path, *place.times, f"[{number}]", message))
    if details:
        raise ConfigError(details)
    return tuple(server for file in files for server in file.servers)


def read_server_files(project: Project) -> tuple[ServerEntry, ...]:
    """Find, read and check the server files of a project. Raises `ConfigError`."""
    paths, defaults = find_server_files(project.server_files), inherited(project)
    return merge_server_files([read_server_file(path, defaults) for path in paths])
