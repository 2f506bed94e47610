"""Run a real exporter through faults: steady state, fault, recovery, and checks.

The exporter is a separate process. Some projects are probed over TLS through gates and nginx, the
others directly at the simulated cloud. One project is probed to the depth ``rfb``.
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
from tests.real.nginx import nginx, passing
from tests.real.process_resources import ProcessResources, process_resources
from tests.real.programs import Program, exporter, simulator, until

INTERVAL, TIMEOUT = 1.0, 0.9
FAULT_SECONDS = float(os.environ.get("ENDURANCE_SECONDS", "2"))
"""Duration of each fault; `make chaos` sets a longer one than the test suite."""
LOGIN_RECOVERY_SECONDS = 10.0 + min(FAULT_SECONDS, 60)
"""After a failed login the exporter retries after 2 s, then 4 s, up to a minute."""
SLACK = 1.5
"""Seconds that a busy machine may add to two intervals."""
RECOVERY = 2 * INTERVAL + TIMEOUT + SLACK
_CLEANUP_SECONDS = 5.0
THREADS_MAX = 16
# Ten thousand concurrent connections leave some memory allocated, but only once.
_GROWTH_BYTES_MAX = 64 << 20
TO_CLOUD = "proxy_set_header Host $http_host; proxy_http_version 1.1;"
"""nginx keeps the Host header because the signatures cover it."""
DEEP_PROJECT, LOGIN, QUOTA = "deep", "login", "quota"
"""Special projects: probes to depth ``rfb``, short-lived tokens, a low rate limit."""


@dataclass(frozen=True, slots=True)
class Scrape:
    """The samples of one scrape; ``at`` is Unix time."""

    at: float
    samples: Mapping[str, list[tuple[Mapping[str, str], float]]]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of a metric's samples with these labels."""
        return sum(value for _, value in self._with(name, labels))

    def each(self, name: str, project: str) -> dict[str, float]:
        """Return the values of a per-server metric of a project by server ID."""
        return {
            labels["server_id"]: value for labels, value in self._with(name, {"project": project})
        }

    def outcomes(self, project: str) -> Counter[str]:
        """Return the number of probes of a project by outcome."""
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
    """Scrape an exporter as Prometheus does: the metrics ``names``, or all."""
    at = time.time()
    query = {"name[]": list(names)}
    response = httpx.get(f"http://{address}/metrics", params=query, timeout=timeout)
    response.raise_for_status()
    samples: dict[str, list[tuple[Mapping[str, str], float]]] = {}
    for family in text_string_to_metric_families(response.text):
        for sample in family.samples:
            samples.setdefault(sample.name, []).append((sample.labels, sample.value))
    return Scrape(at, samples)


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault while ``active_while`` is entered, and its maximum recovery time in seconds."""

    active_while: AbstractContextManager[object]
    recovery_seconds: float = RECOVERY


@dataclass(frozen=True, slots=True)
class Observation:
    """The metrics of one project around a fault.

    ``outcomes`` are those of probes that ran entirely during the fault, ``around`` all from before
    it until the recovery; ``verdicts`` are those at the end of the fault.
    """

    before: Scrape
    during: Scrape
    after: Scrape
    outcomes: Counter[str]
    around: Counter[str]
    verdicts: set[float]


@dataclass
class Environment:
    """A running exporter and its cloud; ``projects`` maps names to numbers of servers."""

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
        """Return the exporter's process ID."""
        return self.ours.process.pid

    def scrape(self) -> Scrape:
        """Scrape the exporter."""
        return scrape(self.ours.url)

    def resources(self) -> ProcessResources:
        """Return the resources of the exporter's process."""
        return process_resources(self.pid)

    @contextmanager
    def cloud_fault(self, project: str, **fault: object) -> Iterator[None]:
        """Apply a fault to a project of the simulated cloud until the block ends."""
        self._faults[project] = {"project": project, **fault}
        self._put("faults", list(self._faults.values()))
        try:
            yield
        finally:
            del self._faults[project]
            self._put("faults", list(self._faults.values()))

    @contextmanager
    def quota(self, project: str, **quota: object) -> Iterator[None]:
        """Limit a project's quota until the block ends."""
        self._put(f"quota/{project}", quota)
        try:
            yield
        finally:
            self._put(f"quota/{project}", None)

    def _put(self, path: str, document: object) -> None:
        httpx.put(f"{self.cloud.url}/simulator/{path}", json=document).raise_for_status()

    def healthy_since(self, since: float, projects: Iterable[str]) -> set[str]:
        """Return the projects whose servers were all probed successfully since a Unix time."""
        seen = self.scrape()
        return {name for name in projects if self._is_healthy(seen, name, since)}

    def _is_healthy(self, seen: Scrape, project: str, since: float) -> bool:
        attempts = seen.each("console_probe_last_attempt_timestamp_seconds", project)
        successes = seen.each("console_probe_last_success_timestamp_seconds", project)
        return (
            len(attempts) == self.projects[project]
            and min(attempts.values()) > since
            and successes == attempts
        )

    def steady(self, seconds: float = 10.0) -> Scrape:
        """Wait until every server of every project was probed successfully."""
        since = time.time()
        until(lambda: self.healthy_since(since, self.projects) == set(self.projects), seconds)
        return self.scrape()

    def run_faults(
        self,
        faults: Mapping[str, Fault],
        settle: float = INTERVAL + TIMEOUT,
        meanwhile: AbstractContextManager[object] = nullcontext(),  # noqa: B008 - stateless
    ) -> dict[str, Observation]:
        """Apply faults, end them, and check the invariants.

        Every project recovers in time, every probe of a project without a fault succeeds, and no
        resources leak. ``settle`` seconds pass until the faults are visible. ``meanwhile`` is
        entered during the faults and must affect no project.
        """
        before, held = self.steady(), self.resources()
        with meanwhile, ExitStack() as active:
            for fault in faults.values():
                active.enter_context(fault.active_while)
            time.sleep(settle)
            settled = self.scrape()
            time.sleep(FAULT_SECONDS)
            during = self.scrape()
        self.recover({name: fault.recovery_seconds for name, fault in faults.items()})
        after = self.scrape()
        for project in self.projects.keys() - faults.keys():
            self.assert_unaffected(project, before, after)
        self.assert_no_leaks(held)
        return {
            project: Observation(
                before=before,
                during=during,
                after=after,
                outcomes=during.outcomes(project) - settled.outcomes(project),
                around=after.outcomes(project) - before.outcomes(project),
                verdicts=set(during.each("console_probe_success", project).values()),
            )
            for project in self.projects
        }

    def recover(self, recovery_seconds: Mapping[str, float]) -> None:
        """Wait until each project is healthy; fail if one takes longer than its maximum."""
        ended = time.time()
        unhealthy = set(recovery_seconds)
        while unhealthy:
            unhealthy -= self.healthy_since(ended, unhealthy)
            late = {name for name in unhealthy if time.time() - ended > recovery_seconds[name]}
            assert not late, f"not recovered in time: {late}"
            time.sleep(0.1)

    def assert_unaffected(self, project: str, before: Scrape, after: Scrape) -> None:
        """Assert that each server of a project was probed successfully in every interval."""
        outcomes = after.outcomes(project) - before.outcomes(project)
        assert set(outcomes) == {"success"}, (project, outcomes)
        name = "console_probe_verdicts_total"
        earlier, now = before.each(name, project), after.each(name, project)
        slots = (after.at - before.at) / INTERVAL
        probes = {server: now[server] - earlier[server] for server in earlier}
        assert all(slots - 2 < count < slots + 2 for count in probes.values()), (slots, probes)

    def assert_no_leaks(self, held: ProcessResources) -> None:
        """Assert that the process holds no more resources than ``held``, after a while."""
        deadline = time.monotonic() + _CLEANUP_SECONDS
        while leaks := self._leaks(held):
            assert time.monotonic() < deadline, leaks
            time.sleep(0.1)
        self.assert_quiet_log()

    def _leaks(self, held: ProcessResources) -> list[str]:
        now, seen = self.resources(), self.scrape()
        connections_max = sum(self.projects.values()) + len(self.projects)
        # After a quota was cut, the rate stays low for minutes.
        slow = self.projects.get(QUOTA, 0)
        excess = {
            "requests in flight": seen.total("console_api_requests_in_flight"),
            "queued": max(0, seen.total("console_throttle_queue_length") - slow),
            "overdue": max(0, seen.total("console_scheduler_overdue_servers") - slow),
            "sockets closed by the peer": now.sockets["CLOSE_WAIT"],
            "files": max(0, now.files - held.files),
            # At most one connection per server is kept open, plus a few scrapes.
            "connections": max(0, now.sockets["ESTABLISHED"] - connections_max - 4),
            "threads": max(0, now.threads - THREADS_MAX),
            "memory": max(0, now.resident_bytes - held.resident_bytes - _GROWTH_BYTES_MAX),
        }
        return [f"{what}: {count}" for what, count in excess.items() if count]

    def assert_quiet_log(self) -> None:
        """Assert that the log has no errors and no tracebacks."""
        lines = self.ours.lines[self._read :]
        self._read += len(lines)
        for line in lines:
            assert line.startswith("{"), lines
            event = json.loads(line)
            assert "exception" not in event, event
            assert event["level"] in {"debug", "info", "warning"}, event


@contextmanager
def environment(
    folder: Path, projects: Mapping[str, int], gated: Iterable[str] = ()
) -> Iterator[Environment]:
    """Run a cloud, nginx, a gate for each project in ``gated``, and an exporter."""
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
        one = Environment(ours, cloud, projects, gates, front, certificates)
        one.steady()
        yield one


@contextmanager
def simulated_cloud(folder: Path, projects: Mapping[str, int], *flags: str) -> Iterator[Program]:
    """Run a simulated cloud with these projects; tokens of LOGIN last three seconds."""
    scenario = folder / "scenario.json"
    scenario.write_text(
        json.dumps({"projects": [_scenario_project(*project) for project in projects.items()]})
    )
    with simulator(f"--scenario={scenario}", *flags) as running:
        yield running


def _scenario_project(name: str, servers: int) -> dict[str, object]:
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
    """Return the IDs of a project's servers."""
    return [f"{project}-{number:03}" for number in range(count)]


def configuration(
    projects: Mapping[str, int],
    cloud: str,
    endpoints: Mapping[str, str] = MappingProxyType({}),
    ca_file: Path | None = None,
    depths: Mapping[str, str] = MappingProxyType({DEEP_PROJECT: "rfb"}),
) -> str:
    """Return a configuration for these projects.

    ``endpoints`` override the cloud's address; ``depths`` default to ``api``.
    """
    document = [f"global: {{interval: {INTERVAL:g}s, timeout: {int(TIMEOUT * 1000)}ms}}\nprojects:"]
    for name, count in projects.items():
        auth = f"{{type: aksk, access_key: AK-{name}, secret_key: simulated-secret-key}}"
        # A limit of twice the demand, or practically none.
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
    """Return an ``auth`` section for a login with a password."""
    return (
        f"{{type: password, iam_endpoint: '{cloud}', username: {name},"
        " password: simulated-password, domain: my-account}"
    )
