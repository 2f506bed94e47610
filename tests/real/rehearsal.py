"""Rehearse an outage: pretend cloud, exporter, Prometheus and Alertmanager, all of them real.

Time is compressed by the generator's parameters: sixty times, so that ten minutes are ten seconds.
The longest windows of the error budget are shortened further, for a slow burn goes on for hours
after an outage. Expressions are those that are shipped. What cannot be compressed is the throttle:
it notices the end of a quota within five minutes, by any clock.
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
QUIET_SECONDS, STORY_SECONDS, RECOVERY_SECONDS = 20.0, 40.0, 330.0
QUOTA_FROM = 5
"""When the quota of the default scenario is over, seconds after the cloud's start."""
SCRAPE_SECONDS = 0.5
# From when Prometheus is to be there, in the quiet before a story, to the story's end.
_WATCHED_SECONDS = int(QUIET_SECONDS + STORY_SECONDS) - 10
_SCRAPES_FAILED = "sum(count_over_time(up[2m]) - sum_over_time(up[2m]))"
_SCRAPES_MADE = f"sum(sum_over_time(up[{_WATCHED_SECONDS}s]))"
_COMPRESSED = (
    "--scale=60", "--probe-interval=2m", "--api-slow-seconds=15s",
    "--window-1h=20m", "--window-2h=10m", "--window-6h=15m", "--window-1d=25m", "--window-3d=30m",
)  # fmt: skip
_LATENCY = {"median": 0.01}
_SLOW_SECONDS = 0.5
_LOGINS = {
    "southwest": "{type: password, iam_endpoint: %s, username: monitor,"
    " password: simulated-password, domain: my-account}",
    "east": "{type: aksk, access_key: SIMULATEDACCESSKEY, secret_key: simulated-secret-key}",
}


@dataclass
class Seen:
    """One alert as Alertmanager knew it: its labels, its links, and whether it was inhibited."""

    labels: dict[str, str]
    annotations: dict[str, str]
    inhibited: bool


@dataclass
class Rehearsal:
    """What came of one story; alerts by name and the labels that tell them apart."""

    before: set[str] = field(default_factory=set)
    during: dict[tuple[str, ...], Seen] = field(default_factory=dict)
    left: set[str] = field(default_factory=set)
    scrapes_failed: int = 0
    scrapes_missing: int = 0

    @property
    def names(self) -> set[str]:
        """Return the names of all alerts that fired."""
        return {seen.labels["alertname"] for seen in self.during.values()}

    def called(self, name: str) -> list[Seen]:
        """Return the alerts of a name."""
        return [seen for seen in self.during.values() if seen.labels["alertname"] == name]


@dataclass(frozen=True, slots=True)
class Stage:
    """The running parts of a rehearsal."""

    cloud: Program
    exporter: Program
    config: Path
    prometheus: str
    alertmanager: str
    began: float

    def alerts(self) -> list[dict[str, Any]]:
        """Return what Alertmanager holds now, inhibited alerts too."""
        answer = httpx.get(f"{self.alertmanager}/api/v2/alerts", timeout=30)
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found

    def scrapes_failed(self) -> int:
        """Return how many scrapes of the last two minutes failed."""
        return self._count(_SCRAPES_FAILED)

    def scrapes_missing(self) -> int:
        """Return how many scrapes are missing at a story's end, those not tried for included.

        Where all the machine stands still, Prometheus does not fail: it makes none.
        """
        return int(_WATCHED_SECONDS / SCRAPE_SECONDS) - self._count(_SCRAPES_MADE)

    def _count(self, expression: str) -> int:
        return sum(int(one["value"][1]) for one in query(self.prometheus, expression))


def in_little_time(name: str, folder: Path) -> Path:
    """Write a shipped story with its span moved to when a rehearsal has it."""
    document = yaml.safe_load((SCENARIOS / f"{name}.yaml").read_text())
    changes = {one["name"]: one for one in document.get("projects", [])}
    projects = [{"latency": _LATENCY, "name": name, **changes.get(name, {})} for name in _LOGINS]
    document["projects"] = projects
    quotas = [one["quota"] for one in projects if "quota" in one]
    for quota in quotas:
        # Half of what the servers ask for at a rehearsal's intervals.
        quota.update(limit=2, window=1, body="imetal")
    for span in (*document.get("faults", []), *quotas):
        span["from"], span["until"] = QUIET_SECONDS, QUIET_SECONDS + STORY_SECONDS
        if "seconds" in span:
            span["seconds"] = _SLOW_SECONDS
    path = folder / "story.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def everything_wrong(folder: Path) -> Path:
    """Write the default scenario with its quota soon over, and one more server that fails later."""
    document = yaml.safe_load((SCENARIOS / "default.yaml").read_text())
    (east,) = document["projects"]
    east["quota"] = {"limit": 2, "window": 5, "from": QUOTA_FROM, "until": 12}
    fails_later = {"kind": "close", "operation": "console_rfb", "project": "east"}
    document["faults"].append({**fails_later, "servers": "queue-02", "from": QUIET_SECONDS + 10})
    path = folder / "scenario.yaml"
    path.write_text(yaml.safe_dump(document))
    return path


def write_config(path: Path, cloud: str, scenario: Scenario, ca_file: Path | None = None) -> Path:
    """Write a configuration that watches all of a scenario, each server every two seconds."""
    path.write_text(
        "global: {interval: 2s, timeout: 1900ms}\nprojects:\n"
        + "".join(_project(project, cloud, ca_file) for project in scenario.projects)
    )
    return path


def _project(project: Project, cloud: str, ca_file: Path | None) -> str:
    tls = f"{{ca_file: {ca_file}}}" if ca_file else "{}"
    login = _LOGINS[project.name]
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
def stage(name: str, folder: Path, *flags: str, ca_file: Path | None = None) -> Iterator[Stage]:
    """Run everything with a story that begins `QUIET_SECONDS` after the cloud's start."""
    rules = folder / "generated"
    subprocess.run(
        [sys.executable, "-m", "monitoring", f"--output={rules}", *_COMPRESSED],
        check=True,
        cwd=ROOT,
        capture_output=True,
    )
    with ExitStack() as running:
        story = everything_wrong(folder) if name == "default" else in_little_time(name, folder)
        cloud = running.enter_context(simulator(f"--scenario={story}", *flags))
        began = time.monotonic()
        # By its name, so that there is one to look up.
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
        yield Stage(cloud, ours, config, server.url, alerting, began)


def rehearse(
    running: Stage,
    act: Callable[[Stage], None] | None = None,
    cure: Callable[[Stage], None] | None = None,
) -> Rehearsal:
    """Watch a story from before its beginning until all is quiet again, or should be.

    ``act`` is done when the story begins, ``cure`` when it ends.
    """
    seen = Rehearsal()
    began = running.began
    while time.monotonic() < began + QUIET_SECONDS:
        seen.before |= {one["labels"]["alertname"] for one in running.alerts()}
        time.sleep(0.5)
    if act is not None:
        act(running)
    while time.monotonic() < began + QUIET_SECONDS + STORY_SECONDS:
        for one in running.alerts():
            key = tuple(f"{label}={value}" for label, value in sorted(one["labels"].items()))
            inhibited = bool(one["status"]["inhibitedBy"])
            known = seen.during.setdefault(key, Seen(one["labels"], one["annotations"], inhibited))
            known.inhibited |= inhibited
        time.sleep(0.5)
    seen.scrapes_failed = running.scrapes_failed()
    seen.scrapes_missing = running.scrapes_missing()
    if cure is not None:
        cure(running)
    give_up = time.monotonic() + RECOVERY_SECONDS
    while time.monotonic() < give_up:
        seen.left = {one["labels"]["alertname"] for one in running.alerts()}
        if not seen.left:
            break
        time.sleep(0.5)
    return seen
