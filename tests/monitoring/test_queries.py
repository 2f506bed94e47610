"""Every query of every dashboard is answered by a real Prometheus that scrapes the exporter."""

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
from tests.real.rehearsal import QUOTA_FROM, ROOT, Stage, stage

pytestmark = pytest.mark.long

DASHBOARDS = sorted((ROOT / "dashboards").glob("*.json"))
VALUES = {
    **EVERYTHING,
    "__rate_interval": "10s",
    "__range": "1m",
}
# A server that works in the first half minute and is broken in the second.
SERVER = {
    **VALUES,
    "project": "east",
    "server": "queue-02",
    "server_id": "1f92b8e4-5c3d-4a70-9d16-60ce8ab40002",
}
# What has no answer here, and why that is right.
EMPTY: dict[tuple[str, str, str], str] = {}
_SECONDS = 45
_TRIES = 3
_LAST_SUCCESS = "console_probe_last_success_timestamp_seconds{"


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run the default scenario, in which much is wrong, until every window has been filled."""
    folder = tmp_path_factory.mktemp("queries")
    certificates = Certificates()
    ca_file = certificates.write_authority(folder / "ca.pem")
    # In little time 21 days are 8.4 hours: an alert on the certificate fires.
    pem = certificates.write_good(folder, datetime.now(UTC) + timedelta(hours=5))
    tls = (f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}")
    with ExitStack() as ending:
        for left in reversed(range(_TRIES)):
            own = folder / f"stage-{left}"
            own.mkdir()
            on_stage = ending.enter_context(stage("default", own, *tls, ca_file=ca_file))
            if _has_worked(on_stage) or not left:
                break
            ending.close()
        time.sleep(_SECONDS / 2)
        # So that a reload that fails, and one that does not, can be marked.
        good = on_stage.config.read_text()
        for text, status in (("projects: []", 400), (good, 200)):
            on_stage.config.write_text(text)
            reload = httpx.post(f"http://{on_stage.exporter.url}/-/reload", timeout=10)
            assert reload.status_code == status
            time.sleep(2)
        time.sleep(_SECONDS / 2)
        until(on_stage.alerts, 30)
        yield on_stage


def _has_worked(on_stage: Stage) -> bool:
    """Return whether the server that breaks later was probed before the quota is over.

    On a busy machine the exporter may be there too late for that.
    """
    time.sleep(max(0.0, on_stage.began + QUOTA_FROM - time.monotonic()))
    text = httpx.get(f"http://{on_stage.exporter.url}/metrics", timeout=30).text
    seen = [line for line in text.splitlines() if line.startswith(_LAST_SUCCESS)]
    return any(SERVER["server_id"] in line for line in seen)


def all_queries() -> list[DashboardQuery]:
    found = []
    for path in DASHBOARDS:
        values = SERVER if path.stem == "server" else VALUES
        found += queries_of(json.loads(path.read_text()), values)
    return found


def answer(running: Stage, query: DashboardQuery, *, instant: bool) -> list[Any]:
    """Return what Prometheus answers; an error of Prometheus is a failure."""
    now = time.time()
    path, asked = "/api/v1/query", {"query": query.expression, "time": str(now)}
    if query.kind is Kind.LABEL_VALUES:
        path, asked = f"/api/v1/label/{query.label}/values", {"match[]": query.expression}
    elif not instant:
        path = "/api/v1/query_range"
        asked = {
            "query": query.expression,
            "start": str(now - _SECONDS),
            "end": str(now),
            "step": "1",
        }
    answered = httpx.get(f"{running.prometheus}{path}", params=asked, timeout=30)
    assert answered.status_code == 200, f"{query}: {answered.text}"
    data = answered.json()["data"]
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
def test_a_query_has_an_answer_at_a_moment_and_over_time(
    running: Stage, query: DashboardQuery
) -> None:
    if query.kind is Kind.LABEL_VALUES:
        assert answer(running, query, instant=True)
        return
    # A moment is often empty where a range is not, and the other way round there is no excuse.
    over_time = answer(running, query, instant=False)
    if key(query) in EMPTY:
        assert not over_time, f"it has an answer after all: {EMPTY[key(query)]}"
        return
    assert over_time, query.expression
    if query.kind is Kind.INSTANT:
        assert answer(running, query, instant=True), query.expression


@pytest.mark.parametrize(
    "query",
    [query for query in all_queries() if query.exemplars],
    ids=lambda query: "/".join(key(query)),
)
def test_exemplars_lead_from_a_latency_to_its_request(
    running: Stage, query: DashboardQuery
) -> None:
    now = time.time()
    asked = {"query": query.expression, "start": str(now - _SECONDS), "end": str(now)}
    answered = httpx.get(f"{running.prometheus}/api/v1/query_exemplars", params=asked, timeout=30)
    labels = [one["labels"] for series in answered.json()["data"] for one in series["exemplars"]]
    assert any("request_id" in one for one in labels)


def test_the_program_s_own_check_accepts_the_rehearsal_s_configuration(running: Stage) -> None:
    checked = command("check-config", f"--config.file={Path(running.config)}")
    assert checked.returncode == 0, checked.stderr
