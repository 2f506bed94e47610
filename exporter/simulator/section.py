"""Parse plain data strictly: typed values, and errors with their path."""

import re
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, TypeVar

_T = TypeVar("_T")
_D = TypeVar("_D")
_E = TypeVar("_E", bound=StrEnum)
Reader = Callable[[object, str], _T]

_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?(?:(\d+)ms)?")
_UNITS = (86_400.0, 3_600.0, 60.0, 1.0, 0.001)
_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")


class ScenarioError(Exception):
    """An invalid scenario; the message names the path and what was expected."""


class Section:
    """A mapping at ``path`` whose keys are taken one by one; keys left at the end are errors.

    Raises `ScenarioError` if the value is not a mapping.
    """

    def __init__(self, value: object, path: str) -> None:
        if not isinstance(value, dict):
            raise expected("a mapping", value, path)
        self._left: dict[Any, object] = dict(value)
        self._path = path

    def need(self, key: str, read: Reader[_T]) -> _T:
        """Take a required key."""
        if key not in self._left:
            raise ScenarioError(f"{_at(self._path, key)}: missing")
        return read(self._left.pop(key), _at(self._path, key))

    def take(self, key: str, read: Reader[_T], default: _D) -> _T | _D:
        """Take an optional key."""
        if key not in self._left:
            return default
        return read(self._left.pop(key), _at(self._path, key))

    def end(self) -> None:
        """Raise `ScenarioError` if a key was not taken."""
        for key in self._left:
            raise ScenarioError(f"{_at(self._path, str(key))}: unknown key")


def expected(what: str, value: object, path: str) -> ScenarioError:
    """Return the error of an invalid value."""
    return ScenarioError(f"{path or 'document'}: expected {what}, got {str(value)[:80]!r}")


def text(value: object, path: str) -> str:
    """Read a non-empty string."""
    if not isinstance(value, str) or not value:
        raise expected("a non-empty string", value, path)
    return value


def identifier(value: object, path: str) -> str:
    """Read letters, digits, ``-``, ``_`` and ``.``."""
    if not isinstance(value, str) or not _ID.fullmatch(value):
        raise expected("letters, digits, '-', '_' or '.'", value, path)
    return value


def boolean(value: object, path: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise expected("true or false", value, path)
    return value


def integer(low: int, high: int) -> Reader[int]:
    """Read an integer within bounds."""

    def read(value: object, path: str) -> int:
        if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
            raise expected(f"a whole number from {low} to {high}", value, path)
        return value

    return read


def number(low: float, high: float) -> Reader[float]:
    """Read a number within bounds."""

    def read(value: object, path: str) -> float:
        if (
            isinstance(value, bool)
            or not isinstance(value, int | float)
            or not low <= value <= high
        ):
            raise expected(f"a number from {low:g} to {high:g}", value, path)
        return float(value)

    return read


def duration(value: object, path: str) -> float:
    """Read seconds, as a number or in Prometheus' format: ``1h30m``, ``80ms``."""
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value < 1e9:  # noqa: PLR2004
        return float(value)
    found = _DURATION.fullmatch(value) if isinstance(value, str) and len(value) <= 32 else None  # noqa: PLR2004
    if not found or not any(found.groups()):
        raise expected("a duration such as 30s, 1h30m or 0.5", value, path)
    return sum(int(count) * unit for count, unit in zip(found.groups(0), _UNITS, strict=True))


def positive_duration(value: object, path: str) -> float:
    """Read a duration greater than 0."""
    seconds = duration(value, path)
    if seconds == 0:
        raise ScenarioError(f"{path}: must be greater than 0")
    return seconds


def one_of(kind: type[_E]) -> Reader[_E]:
    """Read a value of an enumeration."""

    def read(value: object, path: str) -> _E:
        try:
            return kind(str(value))
        except ValueError:
            raise expected(f"one of {', '.join(kind)}", value, path) from None

    return read


def list_of(read: Reader[_T]) -> Reader[tuple[_T, ...]]:
    """Read a list."""

    def read_list(value: object, path: str) -> tuple[_T, ...]:
        if not isinstance(value, list):
            raise expected("a list", value, path)
        return tuple(read(item, f"{path}[{index}]") for index, item in enumerate(value))

    return read_list


def strings_by_name(value: object, path: str) -> tuple[tuple[str, str], ...]:
    """Read a mapping of strings."""
    if not isinstance(value, Mapping):
        raise expected("a mapping of strings", value, path)
    return tuple((text(key, path), text(item, _at(path, str(key)))) for key, item in value.items())


def _at(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key
