"""Store the physical servers of a project and list them in pages."""

import hashlib
import json
from collections.abc import Collection, Iterator
from uuid import UUID

from exporter.simulator.replies import Reply, error_reply
from exporter.simulator.scenario import Markers, Project, Server

_LIMIT_MIN = 10
_LIMIT_MAX = 1_000
_MODELS = (("xFusion", "2288H V6"), ("xFusion", "5288 V6"), ("Huawei", "Atlas 800 9000"))


def generated_servers(seed: int, project_id: str, count: int) -> tuple[Server, ...]:
    """Generate servers; their IDs depend only on seed, project and index."""
    return tuple(
        Server(id=_generated_id(seed, project_id, index), name=f"server-{index:05d}")
        for index in range(1, count + 1)
    )


class Fleet:
    """All servers of one project: those that the scenario lists, and generated ones."""

    def __init__(self, project: Project, seed: int) -> None:
        generated = generated_servers(seed, project.project_id, project.generate)
        self._servers = (*project.servers, *generated)
        self._by_id = {server.id: server for server in self._servers}
        # Names need not be unique; the first server with a name wins.
        self._by_name = {server.name: server for server in reversed(self._servers)}
        self._markers = project.markers
        self._project_id = project.project_id
        self._records = {server.id: _record(server, project) for server in self._servers}

    def __iter__(self) -> Iterator[Server]:
        return iter(self._servers)

    def get(self, server_id: str) -> Server | None:
        """Return the server with an ID, or None."""
        return self._by_id.get(server_id)

    def named(self, name: str) -> Server | None:
        """Return the server with a name, or None."""
        return self._by_name.get(name)

    def page(  # noqa: PLR0913 - the parameters of a request
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

        ``limit`` is clamped to 10 to 1000, and is 10 if empty; ``marker`` is the ID of the last
        record of the previous page. ``origin`` is the scheme and host of the request. Servers
        whose IDs are in ``missing`` are left out.
        """
        if limit and not (limit.isascii() and limit.isdigit() and len(limit) < 10):  # noqa: PLR2004
            return error_reply(400, request_id)
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
                return error_reply(400, request_id)
            start = ids.index(marker) + 1 if marker in ids else len(ids)
        page_ids = ids[start : start + size]
        more = start + size < len(ids)
        info = {
            "next_marker": self._marker(page_ids[-1], size, origin) if more else None,
            "previous_marker": self._marker(page_ids[0], size, origin)
            if marker and page_ids
            else None,
            "current_count": len(page_ids),
        }
        records = b",".join(self._records[server_id] for server_id in page_ids)
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
    digest = hashlib.sha256(server.id.encode()).digest()
    manufacturer, model = _MODELS[digest[0] % len(_MODELS)]
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
        "onboard_time": f"2025-{digest[1] % 12 + 1:02d}-{digest[2] % 28 + 1:02d}T08:00:00Z",
        "location": {
            "dc": f"{project.region}a",
            "rack": f"r{digest[3] % 20 + 1:02d}",
            "unit": str(digest[4] % 40 + 1),
        },
        "hardware_attributes": {
            "sn": digest[5:13].hex().upper(),
            "manufacturer": manufacturer,
            "model": model,
            "main_board_manufacturer": manufacturer,
            "main_board_serial_number": digest[13:21].hex().upper(),
        },
        "tags": [{"key": key, "value": value} for key, value in server.tags.items()],
        "error": None,
    }
    return json.dumps(record, separators=(",", ":")).encode()
