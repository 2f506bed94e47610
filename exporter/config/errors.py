"""What is wrong with a configuration file, and where."""

import json
import re
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

Location = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[A-Za-z0-9_-]{1,64}")
_KEY_SHOWN = 64


class Finding(NamedTuple):
    """Something wrong at a location of the document, before it has a line and a column.

    ``on_key`` says that the key itself is wrong, and not its value.
    """

    location: Location
    message: str
    on_key: bool = False


class ConfigErrorDetail(NamedTuple):
    """One mistake of a configuration file.

    ``line`` and ``column`` start at 1, and are 0 where the file as a whole is meant; ``path`` is
    such as ``projects[0].auth.username`` and empty for the same reason.
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
    """A configuration cannot be used; ``details`` are all that is wrong, file by file."""

    def __init__(self, details: Iterable[ConfigErrorDetail]) -> None:
        """Hold ``details``, each once, in the order of each file; files as they come."""
        once = dict.fromkeys(details)
        files = {file: number for number, file in enumerate(dict.fromkeys(m.file for m in once))}
        self.details = sorted(
            once, key=lambda m: (files[m.file], m.line, m.column, m.path, m.message)
        )
        super().__init__(self.details)

    def __str__(self) -> str:
        return "\n".join(str(detail) for detail in self.details)


def path_text(location: Location) -> str:
    """Return a location as people write it, on one line: ``projects[0].auth``."""
    text = ""
    for step in location:
        if isinstance(step, int):
            text += f"[{step}]"
        elif _PLAIN_KEY.fullmatch(step):
            text += f".{step}" if text else step
        else:
            text += f"[{json.dumps(step[:_KEY_SHOWN])}]"
    return text
