"""Generated servers depend on the seed only; lists are paged."""

import json
import re
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exporter.simulator import generated_servers
from exporter.simulator.fleet import Fleet
from exporter.simulator.replies import Reply
from exporter.simulator.scenario import Markers, Project, Server

_UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


def _page(fleet: Fleet, limit: str = "", marker: str = "", manage_state: str = "") -> Reply:
    return fleet.page(
        limit=limit,
        marker=marker,
        manage_state=manage_state,
        origin="http://127.0.0.1:1",
        request_id="id",
    )


def test_generated_servers_do_not_depend_on_their_count() -> None:
    many = generated_servers(1, "p", 100)
    assert many[:10] == generated_servers(1, "p", 10)
    assert len({server.id for server in many}) == 100
    assert all(_UUID.fullmatch(server.id) for server in many)
    others = (*generated_servers(2, "p", 100), *generated_servers(1, "q", 100))
    assert not {server.id for server in many} & {server.id for server in others}


@settings(deadline=None, max_examples=50)
@given(
    count=st.integers(0, 130),
    limit=st.sampled_from(["", "0", "3", "10", "11", "50", "1000", "99999"]),
    markers=st.sampled_from(Markers),
)
def test_all_pages_list_every_server_once(count: int, limit: str, markers: Markers) -> None:
    fleet = Fleet(
        Project(name="a", region="r", project_id="p", generate=count, markers=markers), seed=1
    )
    size = min(max(int(limit or 0), 10), 1000)
    seen: list[str] = []
    marker = ""
    while True:
        page = json.loads(_page(fleet, limit, marker).body)
        assert page["count"] == count
        assert page["page_info"]["current_count"] == len(page["servers"]) <= size
        seen += [record["id"] for record in page["servers"]]
        marker = page["page_info"]["next_marker"]
        if marker is None:
            break
        assert len(page["servers"]) == size
        if markers is Markers.URL:
            marker = parse_qs(urlsplit(marker).query)["marker"][0]
    assert seen == [server.id for server in fleet]


def test_list_filters_by_manage_state() -> None:
    servers = (
        Server(id="a", name="a"),
        Server(id="b", name="b", manage_state="ready"),
        Server(id="c", name="c"),
    )
    fleet = Fleet(Project(name="a", region="r", project_id="p", servers=servers), seed=1)
    page = json.loads(_page(fleet, manage_state="in-use").body)
    assert [record["id"] for record in page["servers"]] == ["a", "c"]
    assert page["count"] == 2
    assert json.loads(_page(fleet, manage_state="frozen").body)["servers"] == []


@pytest.mark.parametrize(("limit", "marker"), [("x", ""), ("-1", ""), ("1" * 20, ""), ("", "no")])
def test_invalid_limit_or_marker_returns_400(limit: str, marker: str) -> None:
    reply = _page(
        Fleet(Project(name="a", region="r", project_id="p", generate=1), seed=1), limit, marker
    )
    assert reply.status == 400
    assert json.loads(reply.body)["error_code"] == "iMetal.0001"


def test_record_has_all_fields() -> None:
    server = Server(id="id", name="name", health_state="Warning", tags={"team": "storage"})
    fleet = Fleet(Project(name="a", region="cn-x", project_id="p", servers=(server,)), seed=1)
    [record] = json.loads(_page(fleet).body)["servers"]
    assert record["id"] == "id"
    assert record["project_id"] == "p"
    assert record["health_state"] == "Warning"
    assert record["tags"] == [{"key": "team", "value": "storage"}]
    assert set(record["location"]) == {"dc", "rack", "unit"}
    assert {"sn", "manufacturer", "model"} <= set(record["hardware_attributes"])
