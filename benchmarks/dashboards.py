"""Measure every dashboard query with 10,000 servers: number of series, and seconds.

A real Prometheus with the shipped rules scrapes an exporter every 5 s. All servers are in one
project, and a third of them fail. Queries are those of Grafana: a range of an hour with a step of
15 s, or an instant query.
"""

import argparse
import json
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from benchmarks.fleet import SCENARIO
from tests.monitoring.dashboard_queries import EVERYTHING, DashboardQuery, Kind, Place, queries_of
from tests.real.programs import exporter, prometheus, simulator
from tests.real.simulated_project import listed_servers, write_config

ROOT = Path(__file__).parent.parent
BROKEN = """
faults:
  - {kind: status, status: 500, fraction: 0.33}
"""
VARIABLE = Place.VARIABLE
HOUR, STEP = 3600, 15
SERIES_MAX, SECONDS_MAX = 1000, 2.0


def main() -> None:
    """Run it, print the slowest and the largest results, and exit 1 if one exceeds a limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--servers", type=int, default=10_000)
    parser.add_argument("--minutes", type=float, default=5.0)
    options = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="dashboards-"))
    try:
        with fleet_in_prometheus(folder, options.servers) as (url, server):
            print(f"{options.servers} servers; waiting {options.minutes:g} minutes", flush=True)
            time.sleep(options.minutes * 60)
            results = [run_query(url, query) for query in queries(url, server)]
    finally:
        shutil.rmtree(folder)
    print_results(results)
    exceeding = [one for one in results if one[1] > SERIES_MAX or one[2] > SECONDS_MAX]
    sys.exit(1 if exceeding else 0)


@contextmanager
def fleet_in_prometheus(folder: Path, servers: int) -> Iterator[tuple[str, tuple[str, str]]]:
    """Run cloud, exporter and Prometheus; yield Prometheus' URL, and a server's id and name."""
    (folder / "scenario.yaml").write_text(SCENARIO + BROKEN)
    with simulator(f"--scenario={folder / 'scenario.yaml'}", f"--servers={servers}") as cloud:
        listed = listed_servers(cloud.url)
        config = write_config(
            folder / "config.yaml", cloud.url, listed, interval="60s", timeout="10s"
        )
        with (
            exporter(config) as ours,
            prometheus(folder, ours.url, "5s", rules=ROOT / "rules") as server,
        ):
            yield server.url, listed[0]


def queries(url: str, server: tuple[str, str]) -> list[DashboardQuery]:
    """Return every query of every dashboard, with variables replaced as in Grafana."""
    values = {**EVERYTHING, "project": "southwest", "server_id": server[0], "server": server[1]}
    files = [json.loads(path.read_text()) for path in sorted((ROOT / "dashboards").glob("*.json"))]
    found = [query for dashboard in files for query in queries_of(dashboard, values)]
    # The variable that limits a query: the servers whose history is drawn.
    (broken,) = [query for query in found if (query.place, query.name) == (VARIABLE, "broken")]
    response = httpx.get(f"{url}/api/v1/query", params={"query": broken.expression}, timeout=60)
    ids = [one["metric"]["server_id"] for one in response.json()["data"]["result"]]
    values["broken"] = f"({'|'.join(ids)})"
    return [query for dashboard in files for query in queries_of(dashboard, values)]


def run_query(url: str, query: DashboardQuery) -> tuple[DashboardQuery, int, float]:
    """Return a query with its number of series and its seconds.

    Values of a variable do not count as series: Grafana shows them in a searchable list.
    """
    now = time.time()
    path, parameters = "query", {"query": query.expression, "time": str(now)}
    if query.kind is Kind.LABEL_VALUES:
        path, parameters = f"label/{query.label}/values", {"match[]": query.expression}
    elif query.kind is Kind.RANGE:
        path = "query_range"
        span = {"start": str(now - HOUR), "end": str(now), "step": str(STEP)}
        parameters = {"query": query.expression, **span}
    started = time.perf_counter()
    response = httpx.get(f"{url}/api/v1/{path}", params=parameters, timeout=60)
    seconds = time.perf_counter() - started
    response.raise_for_status()
    data = response.json()["data"]
    return query, 0 if isinstance(data, list) else len(data["result"]), seconds


def print_results(results: list[tuple[DashboardQuery, int, float]]) -> None:
    """Print the five slowest queries and the five with the most series."""
    print(f"{len(results)} queries")
    keys: dict[str, Callable[[tuple[DashboardQuery, int, float]], float]] = {
        "slowest": lambda one: one[2],
        "most series": lambda one: one[1],
    }
    for title, key in keys.items():
        print(f"\n{title}")
        for one in sorted(results, key=key, reverse=True)[:5]:
            query, series, seconds = one
            where = f"{query.dashboard} / {query.name}"
            print(f"  {seconds:6.3f} s  {series:5} series  {query.kind:<12}  {where}")


if __name__ == "__main__":
    main()
