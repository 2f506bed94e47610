"""Parse a page of the project's list of physical servers; unknown fields are ignored."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx

from exporter.cloud.api_error import ApiError
from exporter.http.errors import BadResponseError
from exporter.http.json_stream import read_json_stream

PAGE_LIMIT = 1000
PAGE_LIMIT_LEAST = 10
"""Records per page, the API's maximum and minimum."""

_OK = 200
_REMEDIES = {
    400: "check project_id and manage_state",
    401: "check the project's auth settings",
    403: "grant the user the right to list servers",
    404: "check endpoint and project_id",
}
_ATTRIBUTES_MAX = 100
_MARKER = re.compile(r"[!-~]{1,512}")


@dataclass(frozen=True, slots=True)
class ListedServer:
    """The used fields of one record, as received and not validated."""

    id: str
    name: str
    manage_state: str
    power_state: str
    health_state: str
    location: Mapping[str, str]
    tags: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class ServerListPage:
    """The records of a page, and the marker of the next page.

    ``next_marker`` is None if the API sent none, and empty if it cannot be read. ``last_id`` is
    the ID of the page's last record; empty if it cannot be used as a marker.
    """

    servers: list[ListedServer]
    next_marker: str | None = None
    last_id: str = ""
    is_full: bool = False


async def page_of(response: httpx.Response) -> ServerListPage:
    """Parse a page of the list; raises `BadResponseError` if the response is not a valid page."""
    page = None
    if response.status_code == _OK:
        page = await read_json_stream(response.content, PAGE_LIMIT, _listed)
    records = page.get("servers") if page else None
    if page is None or not isinstance(records, list):
        raise BadResponseError(_problem(response), response.status_code)
    servers: list[ListedServer] = [server for server in records if server]
    if not records:
        return ServerListPage([])
    is_full = len(records) >= PAGE_LIMIT
    marker = _next_marker(page)
    last_id = servers[-1].id if servers else ""
    if not is_full and not _MARKER.fullmatch(last_id):
        last_id = ""
    if not _MARKER.fullmatch(marker or last_id or "-"):
        raise BadResponseError(
            "the server list has an invalid next_marker: expected at most 512 ASCII characters",
            response.status_code,
        )
    return ServerListPage(servers, marker, last_id, is_full)


def _problem(response: httpx.Response) -> str:
    """Describe why a response is not a page of the list."""
    if response.status_code == _OK:
        return (
            "the server list is not the expected JSON object with a list named servers: "
            "check endpoint and any proxy in between"
        )
    problem = f"the API answered the server list request with {response.status_code}"
    if code := ApiError.of(response).code:
        problem = f"{problem} {code}"
    remedy = _REMEDIES.get(response.status_code)
    return f"{problem}: {remedy}" if remedy else problem


def _next_marker(page: dict[str, Any]) -> str | None:
    info = page.get("page_info")
    marker = info.get("next_marker") if isinstance(info, dict) else None
    if not isinstance(marker, str) or not marker:
        return None
    if "://" not in marker and "?" not in marker:
        return marker
    try:
        return parse_qs(urlsplit(marker).query).get("marker", [""])[0]
    except ValueError:
        return ""


def _listed(record: object) -> ListedServer | None:
    """Parse one record; return None if it has no id. All other fields are optional."""
    if not isinstance(record, dict) or not isinstance(record.get("id"), str) or not record["id"]:
        return None
    location = record.get("location")
    tags = record.get("tags")
    return ListedServer(
        id=record["id"],
        name=_text(record.get("name")) or record["id"],
        manage_state=_text(record.get("manage_state")),
        power_state=_text(record.get("power_state")),
        health_state=_text(record.get("health_state")),
        location={
            str(key): _scalar_text(value)
            for key, value in islice(
                location.items() if isinstance(location, dict) else (), _ATTRIBUTES_MAX
            )
        },
        tags={
            _text(tag.get("key")): _scalar_text(tag.get("value"))
            for tag in (tags[:_ATTRIBUTES_MAX] if isinstance(tags, list) else ())
            if isinstance(tag, dict) and _text(tag.get("key"))
        },
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def _scalar_text(value: object) -> str:
    """Return a text, or a number or boolean as JSON writes it; empty for anything else."""
    return json.dumps(value) if isinstance(value, int | float) else _text(value)
