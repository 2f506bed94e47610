"""Rehearse an outage with a simulated cloud, the exporter, Prometheus and Alertmanager.

The rules are generated with time compressed by a factor of 60: ten minutes become ten seconds. The
longest windows of the error budget are shortened further, because a slow burn lasts for hours
after an outage. The expressions are those that are shipped. The throttle is not compressed: it
takes up to five minutes to recover from a lower quota.
"""

import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import yaml

from exporter.simulator.scenario import Project, Scenario
from exporter.simulator.scenario_file import load_scenario
from tests.real.programs import Program, alertmanager, exporter, prometheus, query, simulator

ROOT = Path(__file__).parent.parent.parent
SCENARIOS = ROOT / "exporter" / "simulator" / "scenarios"
QUIET_SECONDS, OUTAGE_SECONDS, RECOVERY_SECONDS = 20.0, 40.0, 330.0
QUOTA_FROM = 5
"""Start of the quota in the default scenario, in seconds after the cloud's start."""
SCRAPE_SECONDS = 0.5
# The time that Prometheus has to cover: the end of the quiet phase and the outage.
_WATCHED_SECONDS = int(QUIET_SECONDS + OUTAGE_SECONDS) - 10
_SCRAPES_FAILED = "sum(count_over_time(up[2m]) - sum_over_time(up[2m]))"
_SCRAPES_MADE = f"sum(sum_over_time(up[{_WATCHED_SECONDS}s]))"
_COMPRESSED = (
    "--scale=60", "--probe-interval=2m", "--api-slow-seconds=15s",
    "--window-1h=20m", "--window-2h=10m", "--window-6h=15m", "--window-1d=25m", "--window-3d=30m",
)  # fmt: skip
_LATENCY = {"median": 0.01}
_SLOW_SECONDS = 0.5
_AUTH = {
    "southwest": "{type: password, iam_endpoint: %s, username: monitor,"
    " password: simulated-password, domain: my-account}",
    "east": "{type: aksk, access_key: SIMULATEDACCESSKEY, secret_key: simulated-secret-key}",
}


@dataclass
class SeenAlert:
    """An alert in Alertmanager: labels, annotations, and whether it was inhibited."""

    labels: dict[str, str]
    annotations: dict[str, str]
    inhibited: bool


@dataclass
class Rehearsal:
    """The result of a rehearsal; ``during`` maps label sets to alerts."""

    before: set[str] = field(default_factory=set)
    during: dict[tuple[str, ...], SeenAlert] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    scrapes_failed: int = 0
    scrapes_missing: int = 0

    @property
    def names(self) -> set[str]:
        """Return the names of all alerts that fired."""
        return {seen.labels["alertname"] for seen in self.during.values()}

    def alerts_named(self, name: str) -> list[SeenAlert]:
        """Return the alerts with a name."""
        return [seen for seen in self.during.values() if seen.labels["alertname"] == name]


@dataclass(frozen=True, slots=True)
class Environment:
    """The running parts of a rehearsal."""

    cloud: Program
    exporter: Program
    config: Path
    prometheus: str
    alertmanager: str
    began: float

    def alerts(self) -> list[dict[str, Any]]:
        """Return all current alerts of Alertmanager, including inhibited ones."""
        response = httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=30)
        response.raise_for_status()
        found: list[dict[str, Any]] = response.json()
        return found

    def scrapes_failed(self) -> int:
        """Return how many scrapes of the last two minutes failed."""
        return self._count(_SCRAPES_FAILED)

    def scrapes_missing(self) -> int:
        """Return the number of missing scrapes at the end of the outage.

        It includes scrapes that were not attempted because the whole machine stalled.
        """
        return int(_WATCHED_SECONDS / SCRAPE_SECONDS) - self._count(_SCRAPES_MADE)

    def _count(self, expression: str) -> int:
        return sum(int(one["value"][1]) for one in query(self.prometheus, expression))


def write_outage_scenario(name: str, folder: Path) -> Path:
    """Write a shipped scenario with its spans moved to the times of a rehearsal."""
    document = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    changes = {one["name"]: one for one in document.get("projects", [])}
    projects = [{"latency": _LATENCY, "name": name, **changes.get(name, {})} for name in _AUTH]
    document["projects"] = projects
    quotas = [one["quota"] for one in projects if "quota" in one]
    for quota in quotas:
        # Half of the demand of the servers at a rehearsal's interval.
        quota.update(limit=2, window=1, body="imetal")
    for span in (*document.get("faults", []), *quotas):
        span["from"], span["until"] = QUIET_SECONDS, QUIET_SECONDS + OUTAGE_SECONDS
        if "seconds" in span:
            span["seconds"] = _SLOW_SECONDS
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def write_default_scenario(folder: Path) -> Path:
    """Write the default scenario with a short quota and one more server that fails later."""
    document = yaml.safe_load((SCENARIOS / "default.yaml").read_text())
    (east,) = document["projects"]
    east["quota"] = {"limit": 2, "window": 5, "from": QUOTA_FROM, "until": 12}
    fails_later = {"kind": "close", "operation": "console_rfb", "project": "east"}
    document["faults"].append({**fails_later, "servers": "queue-02", "from": QUIET_SECONDS + 10})
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def write_config(path: Path, cloud: str, scenario: Scenario, ca_file: Path | None = None) -> Path:
    """Write a configuration that probes all servers of a scenario every two seconds."""
    path.write_text(
        "global: {interval: 2s, timeout: 1900ms}\nprojects:\n"
        + "".join(_project(project, cloud, ca_file) for project in scenario.projects)
    )
    return path


def _project(project: Project, cloud: str, ca_file: Path | None) -> str:
    tls = f"{{ca_file: {ca_file}}}" if ca_file else "{}"
    login = _AUTH[project.name]
    servers = "".join(f"      - {{id: {one.id}, name: {one.name}}}\n" for one in project.servers)
    return f"""
  - name: {project.name}
    region: {project.region}
    project_id: {project.project_id}
    endpoint: {cloud}
    auth: {login % cloud if "%s" in login else login}
    rate_limit: {{requests_per_second: 100, burst: 100}}
    depth: {"rfb" if project.name == "east" else "api"}
    discovery: {"{refresh_interval: 10s}" if project.name == "east" else ""}
    tls: {tls}
    console: {{allowed_hosts: [127.0.0.1, localhost], tls: {tls}}}
    servers:
{servers}"""


@contextmanager
def environment(
    name: str, folder: Path, *flags: str, ca_file: Path | None = None
) -> Iterator[Environment]:
    """Run all programs with an outage that starts `QUIET_SECONDS` after the cloud."""
    rules = folder / "generated"
    subprocess.run(
        [sys.executable, "-m", "monitoring", f"--output={rules}", *_COMPRESSED],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    with ExitStack() as running:
        path = (
            write_default_scenario(folder)
            if name == "default"
            else write_outage_scenario(name, folder)
        )
        cloud = running.enter_context(simulator(f"--scenario={path}", *flags))
        began = time.monotonic()
        # Use a host name, so that there is a name lookup.
        url = cloud.url.replace("127.0.0.1", "localhost")
        config = write_config(folder / "config.yaml", url, load_scenario("calm"), ca_file)
        ours = running.enter_context(exporter(config))
        alerting = running.enter_context(
            alertmanager(folder, ROOT / "deploy" / "alertmanager" / "alertmanager.yml")
        )
        server = running.enter_context(
            prometheus(
                folder,
                ours.url,
                f"{SCRAPE_SECONDS * 1000:.0f}ms",
                evaluation="500ms",
                rules=rules / "rules",
                alertmanager=alerting,
            )
        )
        yield Environment(cloud, ours, config, server.url, alerting, began)


def rehearse(
    running: Environment,
    act: Callable[[Environment], None] | None = None,
    recover: Callable[[Environment], None] | None = None,
) -> Rehearsal:
    """Record the alerts before, during and after an outage, until they are resolved.

    ``act`` is called when the outage starts, ``recover`` when it ends.
    """
    seen = Rehearsal()
    began = running.began
    while time.monotonic() < began + QUIET_SECONDS:
        seen.before |= {one["labels"]["alertname"] for one in running.alerts()}
        time.sleep(0.5)
    if act is not None:
        act(running)
    while time.monotonic() < began + QUIET_SECONDS + OUTAGE_SECONDS:
        for one in running.alerts():
            key = tuple(f"{label}={value}" for label, value in sorted(one["labels"].items()))
            inhibited = bool(one["status"]["inhibitedBy"])
            known = seen.during.setdefault(
                key, SeenAlert(one["labels"], one["annotations"], inhibited)
            )
            known.inhibited |= inhibited
        time.sleep(0.5)
    seen.scrapes_failed = running.scrapes_failed()
    seen.scrapes_missing = running.scrapes_missing()
    if recover is not None:
        recover(running)
    deadline = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < deadline:
        seen.left = {one["labels"]["alertname"] for one in running.alerts()}
        if not seen.left:
            break
        time.sleep(0.5)
    return seen
