"""Every dashboard query has a result in a real Prometheus that scrapes a real exporter."""

import json
import time
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.monitoring.dashboard_queries import (
    EVERYTHING,
    DashboardQuery,
    Kind,
    Place,
    queries_of,
)
from tests.real.certificates import Certificates
from tests.real.programs import command, until
from tests.real.rehearsal import QUOTA_FROM, ROOT, Environment, environment

pytestmark = pytest.mark.long

DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
VALUES = {
    **EVERYTHING,
    "__rate_interval": "10s",
    "__range": "1m",
}
# A server that works for the first half minute and is broken afterwards.
SERVER = {
    **VALUES,
    "project": "east",
    "server": "queue-02",
    "server_id": "1f92b8e4-5c3d-4a70-9d16-60ce8ab40002",
}
# Queries without a result here, with the reason.
EMPTY: dict[tuple[str, str, str], str] = {}
_SECONDS = 45
_TRIES = 3
_LAST_SUCCESS = "console_probe_last_success_timestamp_seconds{"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Environment]:
    """Run the default scenario, which has many faults, until every window has data."""
    folder = tmp_path_factory.mktemp("queries")
    certificates = Certificates()
    ca_file = certificates.write_authority(folder / "ca.pem")
    # In compressed time 21 days are 8.4 hours: the certificate alert fires.
    pem = certificates.write_good(folder, datetime.now(UTC) + timedelta(hours=5))
    tls = (f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}")
    with ExitStack() as ending:
        for left in reversed(range(_TRIES)):
            own = folder / f"environment-{left}"
            own.mkdir()
            started = ending.enter_context(environment("default", own, *tls, ca_file=ca_file))
            if _has_worked(started) or not left:
                break
            ending.close()
        time.sleep(_SECONDS / 2)
        # A failed and a successful reload, for the annotations.
        good = started.config.read_text()
        for text, status in (("projects: []", 400), (good, 200)):
            started.config.write_text(text)
            reload = httpx.post(f"http://{started.exporter.url}/-/reload", timeout=10)
            assert reload.status_code == status
            time.sleep(2)
        time.sleep(_SECONDS / 2)
        until(started.alerts, 30)
        yield started


def _has_worked(started: Environment) -> bool:
    """Return whether the server that breaks later was probed before the quota is reduced.

    On a busy machine the exporter may start too late for that.
    """
    time.sleep(max(0.0, started.began + QUOTA_FROM - time.monotonic()))
    text = httpx.get(f"http://{started.exporter.url}/metrics", timeout=30).text
    seen = [line for line in text.splitlines() if line.startswith(_LAST_SUCCESS)]
    return any(SERVER["server_id"] in line for line in seen)


def all_queries() -> list[DashboardQuery]:
    found = []
    for path in DASHBOARDS:
        values = SERVER if path.stem == "server" else VALUES
        found += queries_of(json.loads(path.read_text()), values)
    return found


def result_of(running: Environment, query: DashboardQuery, *, instant: bool) -> list[Any]:
    """Return the result of a query; assert that Prometheus returns no error."""
    now = time.time()
    path, params = "/api/v1/query", {"query": query.expression, "time": str(now)}
    if query.kind is Kind.LABEL_VALUES:
        path, params = f"/api/v1/label/{query.label}/values", {"match[]": query.expression}
    elif not instant:
        path = "/api/v1/query_range"
        params = {
            "query": query.expression,
            "start": str(now - _SECONDS),
            "end": str(now),
            "step": "1",
        }
    response = httpx.get(f"{running.prometheus}{path}", params=params, timeout=30)
    assert response.status_code == 200, f"{query}: {response.text}"
    data = response.json()["data"]
    found: list[Any] = data if isinstance(data, list) else data["result"]
    return found


def key(query: DashboardQuery) -> tuple[str, str, str]:
    return (query.dashboard, query.name, query.ref)


def test_there_are_five_dashboards_with_queries_of_every_kind() -> None:
    queries = all_queries()
    assert len(DASHBOARDS) == 5
    assert {query.place for query in queries} == set(Place)
    assert {query.kind for query in queries} == set(Kind)


@pytest.mark.parametrize("query", all_queries(), ids=lambda query: "/".join(key(query)))
def test_query_has_a_result(running: Environment, query: DashboardQuery) -> None:
    if query.kind is Kind.LABEL_VALUES:
        assert result_of(running, query, instant=True)
        return
    # An instant query may be empty at times; a range query must not be.
    over_time = result_of(running, query, instant=False)
    if key(query) in EMPTY:
        assert not over_time, f"the query has a result: {EMPTY[key(query)]}"
        return
    assert over_time, query.expression
    if query.kind is Kind.INSTANT:
        assert result_of(running, query, instant=True), query.expression


@pytest.mark.parametrize(
    "query",
    [query for query in all_queries() if query.exemplars],
    ids=lambda query: "/".join(key(query)),
)
def test_exemplars_have_request_ids(running: Environment, query: DashboardQuery) -> None:
    now = time.time()
    params = {"query": query.expression, "start": str(now - _SECONDS), "end": str(now)}
    response = httpx.get(f"{running.prometheus}/api/v1/query_exemplars", params=params, timeout=30)
    labels = [one["labels"] for series in response.json()["data"] for one in series["exemplars"]]
    assert any("request_id" in one for one in labels)


def test_check_config_accepts_the_configuration_of_the_rehearsal(
    running: Environment,
) -> None:
    checked = command("check-config", f"--config.file={Path(running.config)}")
    assert checked.returncode == 0, checked.stderr
