"""One frame for every fault over time: a steady state, the fault, its end, and all is well again.

The exporter is a process of its own. Some of its projects are probed through gates and nginx over
TLS, all others at the pretend cloud directly, the consoles of one down to their machines.
"""

import json
import os
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.real.certificates import Certificates
from tests.real.gate import Gate, gate
from tests.real.holdings import Holdings, holdings
from tests.real.nginx import nginx, passing
from tests.real.programs import Program, exporter, simulator, until

INTERVAL, TIMEOUT = 1.0, 0.9
FAULT_SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "2"))
"""How long each fault lasts; `make chaos` sets more than the test suite has time for."""
LOGIN_PATIENCE = 10.0 + min(FAULT_SECONDS, 60)
"""Who finds a login service down tries again after 2 s, then 4 s, and so on up to a minute."""
SLACK = 1.5
"""Seconds that a busy machine may add to two intervals."""
RECOVERY = 2 * INTERVAL + TIMEOUT + SLACK
_FAREWELL_SECONDS = 5.0
THREADS_MAX = 16
# Ten thousand connections at once leave some of their memory behind, but once only.
_GROWTH_BYTES_MAX = 64 << 20
TO_CLOUD = "proxy_set_header Host $http_host; proxy_http_version 1.1;"
"""How nginx hands requests on: their signatures hold for the host that was asked."""
WITNESS, LOGIN, QUOTA = "witness", "login", "quota"
"""Projects with something of their own: deep probes, a log-in with short tokens, a low ceiling."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """What one scrape said; ``at`` is Unix time."""

    at: float
    samples: Mapping[str, list[tuple[Mapping[str, str], float]]]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        return sum(value for _, value in self._with(name, labels))

    def each(self, name: str, project: str) -> dict[str, float]:
        """Return a per-server metric of a project, by server."""
        return {
            labels["server_id"]: value for labels, value in self._with(name, {"project": project})
        }

    def outcomes(self, project: str) -> Counter[str]:
        """Return how many probes of a project ended in each way."""
        return Counter(
            {
                labels["outcome"]: int(value)
                for labels, value in self._with("console_probes_total", {"project": project})
                if value
            }
        )

    def _with(
        self, name: str, labels: Mapping[str, str]
    ) -> Iterator[tuple[Mapping[str, str], float]]:
        for found, value in self.samples.get(name, ()):
            if labels.items() <= found.items():
                yield found, value


def scrape(address: str, timeout: float = 5.0, names: Sequence[str] = ()) -> Scrape:
    """Scrape an exporter as Prometheus does, for these metrics or for all."""
    at = time.time()
    query = {"name[]": list(names)}
    answer = httpx.get(f"http://{address}/metrics", params=query, timeout=timeout)
    answer.raise_for_status()
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(answer.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape(at, samples)


@dataclass(frozen=True, slots=True)
class Fault:
    """What befalls a project for a while, and how many seconds it may take to be well again."""

    holds: AbstractContextManager[object]
    patience: float = RECOVERY


@dataclass(frozen=True, slots=True)
class Seen:
    """What the metrics showed of one project.

    ``outcomes`` are those of probes that ran wholly within the fault, ``around`` all from before
    it until all was well again; ``verdicts`` are those at its end.
    """

    before: Scrape
    during: Scrape
    after: Scrape
    outcomes: Counter[str]
    around: Counter[str]
    verdicts: set[float]


@dataclass
class Stage:
    """A running exporter and the cloud it probes, with so many servers in each project."""

    ours: Program
    cloud: Program
    projects: Mapping[str, int]
    gates: Mapping[str, Gate]
    nginx: Program
    certificates: Certificates
    _read: int = 0
    _faults: dict[str, dict[str, object]] = field(default_factory=dict)

    @property
    def pid(self) -> int:
        """Return the exporter's process."""
        return self.ours.process.pid

    def scrape(self) -> Scrape:
        """Scrape the exporter."""
        return scrape(self.ours.url)

    def hold(self) -> Holdings:
        """Look at what the exporter's process holds."""
        return holdings(self.pid)

    @contextmanager
    def cloud_fault(self, project: str, **fault: object) -> Iterator[None]:
        """Break a project of the pretend cloud in one way meanwhile."""
        self._faults[project] = {"project": project, **fault}
        self._put("faults", list(self._faults.values()))
        try:
            yield
        finally:
            del self._faults[project]
            self._put("faults", list(self._faults.values()))

    @contextmanager
    def quota(self, project: str, **quota: object) -> Iterator[None]:
        """Cut a project's quota meanwhile."""
        self._put(f"quota/{project}", quota)
        try:
            yield
        finally:
            self._put(f"quota/{project}", None)

    def _put(self, lever: str, document: object) -> None:
        httpx.put(f"{self.cloud.url}/simulator/{lever}", json=document).raise_for_status()

    def well_since(self, since: float, projects: Iterable[str]) -> set[str]:
        """Return the projects whose servers all were probed with success since a Unix time."""
        seen = self.scrape()
        return {name for name in projects if self._is_well(seen, name, since)}

    def _is_well(self, seen: Scrape, project: str, since: float) -> bool:
        attempts = seen.each("console_probe_last_attempt_timestamp_seconds", project)
        successes = seen.each("console_probe_last_success_timestamp_seconds", project)
        return (
            len(attempts) == self.projects[project]
            and min(attempts.values()) > since
            and successes == attempts
        )

    def steady(self, seconds: float = 10.0) -> Scrape:
        """Wait until every server of every project is probed with success."""
        since = time.time()
        until(lambda: self.well_since(since, self.projects) == set(self.projects), seconds)
        return self.scrape()

    def endure(
        self,
        faults: Mapping[str, Fault],
        settle: float = INTERVAL + TIMEOUT,
        meanwhile: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - it holds nothing
    ) -> dict[str, Seen]:
        """Let faults come and go, and hold the exporter to what must be so after any.

        Every project is well again in its time, those without a fault were so in every slot, and
        nothing stays behind. ``settle`` seconds pass until the faults can be seen; what happens
        ``meanwhile`` may be felt by none.
        """
        before, held = self.steady(), self.hold()
        with meanwhile, ExitStack() as holding:
            for fault in faults.values():
                holding.enter_context(fault.holds)
            time.sleep(settle)
            begun = self.scrape()
            time.sleep(FAULT_SECONDS)
            during = self.scrape()
        self.recover({name: fault.patience for name, fault in faults.items()})
        after = self.scrape()
        for project in self.projects.keys() - faults.keys():
            self.assert_untouched(project, before, after)
        self.assert_nothing_left(held)
        return {
            project: Seen(
                before=before,
                during=during,
                after=after,
                outcomes=during.outcomes(project) - begun.outcomes(project),
                around=after.outcomes(project) - before.outcomes(project),
                verdicts=set(during.each("console_probe_success", project).values()),
            )
            for project in self.projects
        }

    def recover(self, patience: Mapping[str, float]) -> None:
        """Wait until each project is well again, or has had its time."""
        ended = time.time()
        ill = set(patience)
        while ill:
            ill -= self.well_since(ended, ill)
            late = {name for name in ill if time.time() - ended > patience[name]}
            assert not late, f"not well in time: {late}"
            time.sleep(0.1)

    def assert_untouched(self, project: str, before: Scrape, after: Scrape) -> None:
        """Hold each server of a project to a success in every slot."""
        outcomes = after.outcomes(project) - before.outcomes(project)
        assert set(outcomes) == {"success"}, (project, outcomes)
        name = "console_probe_verdicts_total"
        was, now = before.each(name, project), after.each(name, project)
        slots = (after.at - before.at) / INTERVAL
        made = {server: now[server] - was[server] for server in was}
        assert all(slots - 2 < count < slots + 2 for count in made.values()), (slots, made)

    def assert_nothing_left(self, held: Holdings) -> None:
        """Hold the process to what it held before, once what is ending has ended."""
        give_up = time.monotonic() + _FAREWELL_SECONDS
        while left := self._left(held):
            assert time.monotonic() < give_up, left
            time.sleep(0.1)
        self.assert_quiet_log()

    def _left(self, held: Holdings) -> list[str]:
        now, seen = self.hold(), self.scrape()
        kept = sum(self.projects.values()) + len(self.projects)
        # Where the quota was cut, the pace is slow for minutes.
        slow = self.projects.get(QUOTA, 0)
        wrong = {
            "requests in flight": seen.total("console_api_requests_in_flight"),
            "queued": max(0, seen.total("console_throttle_queue_length") - slow),
            "overdue": max(0, seen.total("console_scheduler_overdue_servers") - slow),
            "sockets that the peer has closed": now.sockets["CLOSE_WAIT"],
            "files": max(0, now.files - held.files),
            # A connection is kept for a server at most, and some are scrapes.
            "connections": max(0, now.sockets["ESTABLISHED"] - kept - 4),
            "threads": max(0, now.threads - THREADS_MAX),
            "memory": max(0, now.resident_bytes - held.resident_bytes - _GROWTH_BYTES_MAX),
        }
        return [f"{what}: {count}" for what, count in wrong.items() if count]

    def assert_quiet_log(self) -> None:
        """Hold the log to events that are known, and to no traceback."""
        lines = self.ours.lines[self._read :]
        self._read += len(lines)
        for line in lines:
            assert line.startswith("{"), lines
            event = json.loads(line)
            assert "exception" not in event, event
            assert event["level"] in {"debug", "info", "warning"}, event


@contextmanager
def stage(folder: Path, projects: Mapping[str, int], gated: Iterable[str] = ()) -> Iterator[Stage]:
    """Run all of it: a cloud, nginx, a gate for each of ``gated``, and an exporter."""
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder)
    with ExitStack() as running:
        cloud = running.enter_context(simulated_cloud(folder, projects))
        front = running.enter_context(nginx(folder, pem, passing("/", cloud.url, TO_CLOUD)))
        port = httpx.URL(front.url).port or 0
        gates = {name: running.enter_context(gate(port)) for name in gated}
        endpoints = {name: f"https://127.0.0.1:{one.port}" for name, one in gates.items()}
        config = folder / "config.yaml"
        config.write_text(configuration(projects, cloud.url, endpoints, authority))
        ours = running.enter_context(exporter(config, None, "--log.format=json"))
        one = Stage(ours, cloud, projects, gates, front, certificates)
        one.steady()
        yield one


@contextmanager
def simulated_cloud(folder: Path, projects: Mapping[str, int], *flags: str) -> Iterator[Program]:
    """Run a cloud with servers of these projects, whose tokens live for three seconds."""
    scenario = folder / "scenario.json"
    scenario.write_text(
        json.dumps({"projects": [_in_the_cloud(*project) for project in projects.items()]})
    )
    with simulator(f"--scenario={scenario}", *flags) as running:
        yield running


def _in_the_cloud(name: str, servers: int) -> dict[str, object]:
    return {
        "name": name,
        "region": "cn-southwest-2",
        "project_id": f"id-of-{name}",
        "users": [{"name": name, "password": "simulated-password", "domain": "my-account"}],
        "access_keys": [{"access_key": f"AK-{name}", "secret_key": "simulated-secret-key"}],
        "token_lifetime": 3 if name == LOGIN else 86_400,
        "latency": {"median": 0.01},
        "servers": [{"id": one, "name": one} for one in server_ids(name, servers)],
    }


def server_ids(project: str, count: int) -> list[str]:
    """Return the ids of a project's servers."""
    return [f"{project}-{number:03}" for number in range(count)]


def configuration(
    projects: Mapping[str, int],
    cloud: str,
    endpoints: Mapping[str, str] = MappingProxyType({}),
    ca_file: Path | None = None,
    depths: Mapping[str, str] = MappingProxyType({WITNESS: "rfb"}),
) -> str:
    """Return a configuration for some projects of the cloud.

    ``endpoints`` lead elsewhere than to the cloud directly; ``depths`` are ``api`` where not given.
    """
    document = [f"global: {{interval: {INTERVAL:g}s, timeout: {int(TIMEOUT * 1000)}ms}}\nprojects:"]
    for name, count in projects.items():
        auth = f"{{type: aksk, access_key: AK-{name}, secret_key: simulated-secret-key}}"
        # A ceiling of twice the demand, or nearly none.
        rate = 2 * count if name == QUOTA else 1000
        document.append(
            f"""
  - name: {name}
    region: cn-southwest-2
    project_id: id-of-{name}
    endpoint: {endpoints.get(name, cloud)}
    auth: {password_login(name, cloud) if name in (LOGIN, *depths) else auth}
    rate_limit: {{requests_per_second: {rate}, burst: {rate}}}
    tls: {{{f"ca_file: {ca_file}, server_name: localhost" if ca_file else ""}}}
    depth: {depths.get(name, "api")}
    console: {{allowed_hosts: [127.0.0.1, {name}.test]}}
    servers: [{", ".join(f"{{id: {one}}}" for one in server_ids(name, count))}]"""
        )
    return "".join(document)


def password_login(name: str, cloud: str) -> str:
    """Return a log-in by password."""
    return (
        f"{{type: password, iam_endpoint: '{cloud}', username: {name},"
        " password: simulated-password, domain: my-account}"
    )
