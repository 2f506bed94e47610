"""The physical servers of a project: their records, made once, and the list in pages."""

import hashlib
import json
from collections.abc import Collection, Iterator
from uuid import UUID

from exporter.simulator.replies import Reply, refusal
from exporter.simulator.scenario import Markers, Project, Server

_LIMIT_MIN = 10
_LIMIT_MAX = 1_000
_MODELS = (("xFusion", "2288H V6"), ("xFusion", "5288 V6"), ("Huawei", "Atlas 800 9000"))


def generated_servers(seed: int, project_id: str, count: int) -> tuple[Server, ...]:
    """Make up servers; the same seed and project give the same ids, whatever the count."""
    return tuple(
        Server(id=_generated_id(seed, project_id, index), name=f"server-{index:05d}")
        for index in range(1, count + 1)
    )


class Fleet:
    """All servers of one project."""

    def __init__(self, project: Project, seed: int) -> None:
        """Take the project's listed servers, and make up as many as it asks for."""
        made_up = generated_servers(seed, project.project_id, project.generate)
        self._servers = (*project.servers, *made_up)
        self._by_id = {server.id: server for server in self._servers}
        # Names need not be unique; the first has it.
        self._by_name = {server.name: server for server in reversed(self._servers)}
        self._markers = project.markers
        self._project_id = project.project_id
        self._records = {server.id: _record(server, project) for server in self._servers}

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def get(self, server_id: str) -> Server | None:
        """Return a server, None when there is none of this id."""
        return self._by_id.get(server_id)

    def named(self, name: str) -> Server | None:
        """Return a server, None when there is none of this name."""
        return self._by_name.get(name)

    def page(  # noqa: PLR0913 - a request, told whole
        self,
        *,
        limit: str,
        marker: str,
        manage_state: str,
        origin: str,
        request_id: str,
        missing: Collection[str] = (),
    ) -> Reply:
        """Return a page of the list.

        ``limit`` below 10 or none counts as 10, above 1000 as 1000; ``marker`` is the id of the
        last record of the page before. ``origin`` is the scheme and host that was asked. Servers
        whose ids are ``missing`` are not told of.
        """
        if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10):  # noqa: PLR2004
            return refusal(400, request_id)
        size = min(max(int(limit or 0), _LIMIT_MIN), _LIMIT_MAX)
        ids = [
            server.id
            for server in self._servers
            if (not manage_state or server.manage_state == manage_state)
            and server.id not in missing
        ]
        start = 0
        if marker:
            if marker not in self._by_id:
                return refusal(400, request_id)
            start = ids.index(marker) + 1 if marker in ids else len(ids)
        shown = ids[start : start + size]
        more = start + size < len(ids)
        info = {
            "next_marker": self._marker(shown[-1], size, origin) if more else None,
            "previous_marker": self._marker(shown[0], size, origin) if marker and shown else None,
            "current_count": len(shown),
        }
        records = b",".join(self._records[server_id] for server_id in shown)
        tail = f'],"count":{len(ids)},"page_info":{json.dumps(info)}}}'
        return Reply(200, b'{"servers":[' + records + tail.encode())

    def _marker(self, server_id: str, size: int, origin: str) -> str:
        if self._markers is Markers.ID:
            return server_id
        path = f"/v1/{self._project_id}/physicalservers"
        return f"{origin}{path}?limit={size}&marker={server_id}"


def _generated_id(seed: int, project_id: str, index: int) -> str:
    digest = hashlib.sha256(f"{seed}/{project_id}/{index}".encode()).digest()
    return str(UUID(bytes=digest[:16], version=4))


def _record(server: Server, project: Project) -> bytes:
    dice = hashlib.sha256(server.id.encode()).digest()
    manufacturer, model = _MODELS[dice[0] % len(_MODELS)]
    record = {
        "id": server.id,
        "name": server.name,
        "project_id": project.project_id,
        "domain_id": hashlib.sha256(project.project_id.encode()).hexdigest()[:32],
        "manage_state": server.manage_state,
        "frozen_state": 0,
        "power_state": server.power_state,
        "operation_state": f"power-{server.power_state}-succeed",
        "health_state": server.health_state,
        "onboard_time": f"2025-{dice[1] % 12 + 1:02d}-{dice[2] % 28 + 1:02d}T08:00:00Z",
        "location": {
            "dc": f"{project.region}a",
            "rack": f"r{dice[3] % 20 + 1:02d}",
            "unit": str(dice[4] % 40 + 1),
        },
        "hardware_attributes": {
            "sn": dice[5:13].hex().upper(),
            "manufacturer": manufacturer,
            "model": model,
            "main_board_manufacturer": manufacturer,
            "main_board_serial_number": dice[13:21].hex().upper(),
        },
        "tags": [{"key": key, "value": value} for key, value in server.tags],
        "error": None,
    }
    return json.dumps(record, separators=(",", ":")).encode()
