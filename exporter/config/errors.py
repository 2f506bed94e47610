"""Errors in configuration files, with their positions."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

Location = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_SHOWN = 64


class Finding(NamedTuple):
    """An error at a location in the document, without line and column.

    ``on_key`` means that the key is wrong, not its value.
    """

    location: Location
    message: str
    on_key: bool = False


class ConfigErrorDetail(NamedTuple):
    """One error in a configuration file.

    ``line`` and ``column`` start at 1. ``path`` is a path such as ``projects[0].auth.username``.
    For an error of the file as a whole, the numbers are 0 and the path is empty.
    """

    file: Path
    line: int
    column: int
    path: str
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}:{self.column}" if self.line else f"{self.file}"
        return f"{place}: {self.path}: {self.message}" if self.path else f"{place}: {self.message}"


class ConfigError(Exception):
    """A configuration is invalid.

    ``details`` are the errors without duplicates, grouped by file and sorted by position; files
    keep the order in which they are given.
    """

    def __init__(self, details: Iterable[ConfigErrorDetail]) -> None:
        unique = dict.fromkeys(details)
        files = {file: number for number, file in enumerate(dict.fromkeys(m.file for m in unique))}
        self.details = sorted(
            unique, key=lambda m: (files[m.file], m.line, m.column, m.path, m.message)
        )
        super().__init__(self.details)

    def __str__(self) -> str:
        return "\n".join(str(detail) for detail in self.details)


def path_text(location: Location) -> str:
    """Return a location as text on one line, such as ``projects[0].auth``."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step[:_KEY_SHOWN])}]"
    return text
