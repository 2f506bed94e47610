"""Check values against each other: unique names, and timeouts shorter than intervals.

These checks read plain data of any shape, so they also run when the schema has found errors
elsewhere. Values that the schema rejects are skipped.
"""

from collections.abc import Iterator
from typing import NamedTuple

from exporter.config.config import DEFAULT_INTERVAL, DEFAULT_TIMEOUT
from exporter.config.duration import format_duration, parse_duration
from exporter.config.environment import Data
from exporter.config.errors import Finding, Location, path_text


class _Setting(NamedTuple):
    """A duration and where it is set; the location is empty for a default."""

    seconds: float
    location: Location


class _Times(NamedTuple):
    """Interval and timeout of a level: global, project or server. None if the value is invalid."""

    interval: _Setting | None
    timeout: _Setting | None

    def overridden(self, data: Data, location: Location) -> "_Times":
        """Return the times of the level below: those in ``data``, or else these."""
        section = data if isinstance(data, dict) else {}
        return _Times(
            _setting(section, "interval", location, self.interval),
            _setting(section, "timeout", location, self.timeout),
        )


def inconsistencies(data: Data) -> Iterator[Finding]:
    """Yield the values of a whole configuration that contradict each other."""
    root = data if isinstance(data, dict) else {}
    defaults = _Times(_Setting(DEFAULT_INTERVAL, ()), _Setting(DEFAULT_TIMEOUT, ()))
    times = defaults.overridden(root.get("global"), ("global",))
    projects = _items(root.get("projects"))
    yield from repeated(projects, "name", ("projects",))
    reported: set[Location] = set()
    for index, project in enumerate(projects):
        location: Location = ("projects", index)
        section = project if isinstance(project, dict) else {}
        servers = _items(section.get("servers"))
        yield from repeated(servers, "id", (*location, "servers"))
        project_times = times.overridden(section, location)
        # Also check the settings of servers that are not listed here or not listed yet.
        unlisted = (
            not servers or section.get("server_files") or section.get("discovery") is not None
        )
        for number, server in enumerate([*servers, None] if unlisted else servers):
            server_location = (*location, "servers", number)
            finding = _too_long(project_times.overridden(server, server_location))
            if finding and finding.location not in reported:
                reported.add(finding.location)
                yield finding


def _setting(
    section: dict[str, Data], key: str, location: Location, inherited: _Setting | None
) -> _Setting | None:
    text = section.get(key)
    if text is None:
        return inherited
    try:
        return _Setting(parse_duration(str(text)), (*location, key))
    except ValueError:
        return None


def _too_long(times: _Times) -> Finding | None:
    interval, timeout = times
    if interval is None or timeout is None or timeout.seconds < interval.seconds:
        return None
    # Report the more specific of the two settings.
    if len(interval.location) > len(timeout.location):
        return Finding(
            interval.location,
            f"expected more than the timeout of {format_duration(timeout.seconds)}"
            f" ({_source(timeout)}), got {format_duration(interval.seconds)}",
        )
    return Finding(
        timeout.location,
        f"expected less than the interval of {format_duration(interval.seconds)}"
        f" ({_source(interval)}), got {format_duration(timeout.seconds)}",
    )


def _source(setting: _Setting) -> str:
    return path_text(setting.location) if setting.location else "the default"


def repeated(items: list[Data], key: str, location: Location) -> Iterator[Finding]:
    """Yield a finding for each item whose ``key`` has the value of an earlier item."""
    seen: dict[str, int] = {}
    for index, item in enumerate(items):
        value = item.get(key) if isinstance(item, dict) else None
        if not isinstance(value, str):
            continue
        first = seen.setdefault(value, index)
        if first != index:
            where = path_text((*location, first, key))
            message = f"expected a unique {key}, but {where} is the same"
            yield Finding((*location, index, key), message)


def _items(data: Data) -> list[Data]:
    return data if isinstance(data, list) else []
