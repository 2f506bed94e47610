"""A simulated fleet that shows all features of the pages, for browser tests and screenshots."""

import contextlib
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import yaml

from tests.real.programs import Program, exporter, free_port, simulator, until
from tests.real.simulated_project import DOMAIN, PASSWORD, PROJECT_ID, USER

HOSTILE = "<script>alert(1)</script>"
SOUTHWEST = {"app": 16, "db": 12, "gpu": 8, "web": 24}
EAST = {"backup": 4, "cache": 6, "queue": 6}
# A name that must be escaped in URLs.
EAST_NAME = "east & north?"
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
    """A running simulated cloud and exporter; tests may overwrite ``config`` and reload."""

    cloud: str
    exporter: Program
    config: Path

    @property
    def url(self) -> str:
        """Return the URL of the exporter's pages."""
        return f"http://{self.exporter.url}"

    def server(self, name: str, project: str = "southwest") -> str:
        """Return the URL of a server's page."""
        return f"{self.url}/servers/{quote(project, safe='')}/{name}-id"

    def set_faults(self, *more: dict[str, Any]) -> None:
        """Set these faults in addition to the permanent ones."""
        httpx.put(
            f"{self.cloud}/simulator/faults", content=json.dumps([*FAULTS, *more])
        ).raise_for_status()

    def wait_until_probed(self) -> None:
        """Wait until every server has been probed."""
        until(lambda: "not probed yet" not in httpx.get(self.url).text, 20)


def names(groups: dict[str, int]) -> list[str]:
    """Return the names of a project's servers."""
    return [f"{group}-{n:02d}" for group, count in groups.items() for n in range(1, count + 1)]


@contextlib.contextmanager
def simulated_fleet(
    folder: Path, *, east: str = EAST_NAME, more: tuple[str, ...] = ("hostile",)
) -> Iterator[Fleet]:
    """Run a simulated cloud and an exporter; a few consoles always fail."""
    servers = {"east": names(EAST), "southwest": [*names(SOUTHWEST), *more]}
    scenario = {
        "extends": "calm",
        "projects": [
            {"name": name, "servers": [{"id": f"{one}-id", "name": one} for one in listed]}
            for name, listed in servers.items()
        ],
    }
    (folder / "scenario.yaml").write_text(yaml.safe_dump(scenario))
    with simulator(f"--scenario={folder / 'scenario.yaml'}") as cloud:
        config = folder / "config.yaml"
        config.write_text(_config(cloud.url, servers, east))
        port = free_port()
        with exporter(config, None, f"--web.listen-address=127.0.0.1:{port}") as ours:
            fleet = Fleet(cloud.url, ours, config)
            fleet.set_faults()
            yield fleet


def _config(cloud: str, servers: dict[str, list[str]], east: str) -> str:
    def entries(project: str) -> list[dict[str, object]]:
        return [
            {
                "id": f"{one}-id",
                "name": HOSTILE if one == "hostile" else one,
                "labels": {"rack": f"r{place % 4 + 1:02d}", "team": one.split("-")[0]},
            }
            for place, one in enumerate(servers[project])
        ]

    shared = {"endpoint": cloud, "rate_limit": {"requests_per_second": 200, "burst": 200}}
    projects = [
        {
            **shared,
            "name": "southwest",
            "region": "cn-southwest-2",
            "project_id": PROJECT_ID,
            "auth": {
                "type": "password",
                "iam_endpoint": cloud,
                "username": USER,
                "password": PASSWORD,
                "domain": DOMAIN,
            },
            "servers": entries("southwest"),
        },
        {
            **shared,
            "name": east,
            "region": "cn-east-3",
            "project_id": "fedcba9876543210fedcba9876543210",
            "auth": {
                "type": "aksk",
                "access_key": "SIMULATEDACCESSKEY",
                "secret_key": "simulated-secret-key",
            },
            "depth": "rfb",
            "console": {"allowed_hosts": ["127.0.0.1"]},
            "servers": entries("east"),
        },
    ]
    times = {"interval": "2s", "timeout": "1500ms"}
    return yaml.safe_dump({"global": times, "projects": projects[::-1]})
