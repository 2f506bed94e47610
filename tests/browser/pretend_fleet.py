"""A fleet in which all that the pages show can be seen, for browser tests and screenshots."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import yaml

from tests.real.programs import Program, exporter, simulator, until

HOSTILE = "<script>alert(1)</script>"
PROJECTS = {
    "southwest": {"db": 12, "web": 24, "gpu": 8, "app": 16},
    "east / north": {"cache": 6, "queue": 6, "backup": 4},
}
EAST = "east & north?"
_ROOT = Path(__file__).parents[2]
FAULTS: list[dict[str, Any]] = [
    {"kind": "status", "project": "southwest", "servers": "db-04", "status": 404,
     "error_code": "iMetal.0100"},
    {"kind": "status", "project": "southwest", "servers": "gpu-03", "status": 400,
     "error_code": "iMetal.0101"},
    {"kind": "reset", "project": "southwest", "servers": "web-05"},
    {"kind": "status", "project": "southwest", "servers": "app-09", "status": 403},
    {"kind": "no_upgrade", "project": "east", "servers": "backup-01",
     "operation": "console_websocket"},
    {"kind": "close", "project": "east", "servers": "queue-03", "operation": "console_rfb",
     "code": 1011},
]  # fmt: skip


@dataclass
class Fleet:
    """A running cloud and exporter; ``config`` can be written anew and reloaded."""

    cloud: str
    exporter: Program
    config: Path

    @property
    def url(self) -> str:
        """Return the address of the exporter's pages."""
        return f"http://{self.exporter.url}"

    def server(self, name: str, project: str = "southwest") -> str:
        """Return the address of a server's page."""
        escaped = httpx.URL("http://x").copy_with(path=f"/servers/{project}").raw_path.decode()
        return f"{self.url}{escaped.replace('&', '%26').replace('?', '%3F')}/{name}-id"

    def breaks(self, *more: dict[str, Any]) -> None:
        """Let these faults strike, beside those that always do."""
        httpx.put(
            f"{self.cloud}/simulator/faults", content=json.dumps([*FAULTS, *more])
        ).raise_for_status()

    def settled(self) -> None:
        """Wait until every server has been probed."""
        until(lambda: "not probed yet" not in httpx.get(self.url).text, 20)


def names(groups: dict[str, int]) -> list[str]:
    """Return the names of a project's servers."""
    return [f"{group}-{n:02d}" for group, count in groups.items() for n in range(1, count + 1)]
