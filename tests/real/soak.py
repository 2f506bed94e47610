"""Soak test: probe a fleet for a long time during recurring faults, and detect leaks and drift.

Memory, files and threads are measured at their minimum in each fault's period, because requests,
scrapes and faults use more for a while. Memory growth is the slope of a line through the minimums
after the warm-up, in which histories and pools fill.
"""

import itertools
import json
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field
from math import sqrt
from pathlib import Path

import httpx

from tests.real.certificates import Certificates, client_context
from tests.real.endurance import (
    DEEP_PROJECT,
    LOGIN,
    Scrape,
    password_login,
    scrape,
    simulated_cloud,
)
from tests.real.endurance import server_ids as ids
from tests.real.gate import gate
from tests.real.process_resources import ProcessResources, process_resources
from tests.real.programs import Program, exporter, until

INTERVAL, TIMEOUT = 10, 3
_SAMPLE_SECONDS = 1.0
_SCRAPE_SECONDS = 15.0
_PROBES = "console_probes_total"
_MISSED = "console_scheduler_missed_probes_total"
_LATENESS = "console_scheduler_lateness_seconds"
_LAG = "console_exporter_event_loop_lag_seconds"
_IN_PROGRESS = ("console_api_requests_in_flight", "console_throttle_queue_length")
# One server of ten is probed to depth rfb, and one uses a login with short-lived tokens.
_SHARES = {"plain": 0.8, DEEP_PROJECT: 0.1, LOGIN: 0.1}


@dataclass(frozen=True, slots=True)
class SoakSpec:
    """The parameters: probes per second, total seconds, warm-up, and period of a fault."""

    rate: int
    seconds: float
    warm_up: float
    period: float


@dataclass(frozen=True, slots=True)
class Mark:
    """The result of one period; ``at`` is in seconds since the start, ``lateness`` in seconds."""

    at: float
    fault: str
    resident_bytes: int
    files: int
    threads: int
    probes: int
    lateness: float


@dataclass
class SoakResult:
    """The result of a soak test after the warm-up."""

    marks: list[Mark] = field(default_factory=list)
    expected: float = 0.0
    accounted: float = 0.0
    in_progress: float = 0.0
    missed: float = 0.0
    log: str = ""

    @property
    def growth(self) -> tuple[float, float]:
        """Return the growth of memory in bytes per hour and its standard error."""
        return slope([(mark.at / 3600, mark.resident_bytes) for mark in self.marks])

    @property
    def lateness(self) -> tuple[float, float]:
        """Return the mean lateness in seconds of the first and of the last third."""
        third = max(1, len(self.marks) // 3)
        first, last = self.marks[:third], self.marks[-third:]
        return (
            statistics.mean(mark.lateness for mark in first),
            statistics.mean(mark.lateness for mark in last),
        )

    @property
    def unaccounted(self) -> float:
        """Return the number of due probes with no result that were not counted as missed."""
        return self.expected - self.accounted


def slope(points: list[tuple[float, float]]) -> tuple[float, float]:
    """Return the slope of the least-squares line through points, and its standard error."""
    if len(points) < 3:
        return 0.0, float("inf")
    line = statistics.linear_regression(*zip(*points, strict=True))
    middle = statistics.mean(x for x, _ in points)
    spread = sum((x - middle) ** 2 for x, _ in points)
    rest = sum((y - line.intercept - line.slope * x) ** 2 for x, y in points)
    return line.slope, sqrt(rest / (len(points) - 2) / spread)


def soak(
    folder: Path, spec: SoakSpec, print_line: Callable[[str], None] = lambda _line: None
) -> SoakResult:
    """Run a soak test; ``print_line`` gets a line for each period."""
    with _running(folder, spec) as (ours, faults):
        pid, started = ours.process.pid, time.monotonic()
        result, first, last = SoakResult(), None, _totals(ours.url)
        for name, fault in itertools.cycle(faults.items()):
            if time.monotonic() - started >= spec.seconds:
                break
            # No fault, fault, no fault: its effects end within the period.
            samples = _watch(pid, ours.url, spec.period / 4)
            with fault():
                samples += _watch(pid, ours.url, spec.period / 4)
            samples += _watch(pid, ours.url, spec.period / 2)
            before, last = last, _totals(ours.url)
            at = time.monotonic() - started
            mark = Mark(
                at,
                name,
                min(one.resident_bytes for one in samples),
                min(one.files for one in samples),
                min(one.threads for one in samples),
                _probes(last) - _probes(before),
                _lateness(before, last),
            )
            print_line(_line(mark, last))
            if at < spec.warm_up:
                continue
            if first is None:
                first = last
                continue
            result.marks.append(mark)
            _account(result, first, last, spec.rate)
        result.log = ours.output
    return result


def _totals(address: str) -> Scrape:
    """Scrape the aggregate metrics only: parsing per-server ones would take too much CPU."""
    names = (_PROBES, _MISSED, _LATENESS, _LAG, *_IN_PROGRESS)
    return scrape(address, timeout=30, names=names)


def _account(result: SoakResult, first: Scrape, last: Scrape, rate: int) -> None:
    """Compare due probes with results and missed ones. Skipped probes count as both."""
    result.expected = rate * (last.at - first.at)
    result.missed = last.total(_MISSED) - first.total(_MISSED)
    result.accounted = _results(last) - _results(first) + result.missed
    result.in_progress = sum(last.total(name) + first.total(name) for name in _IN_PROGRESS)


def _results(scraped: Scrape) -> float:
    return scraped.total(_PROBES) - scraped.total(_PROBES, outcome="skipped")


def _probes(samples: Scrape) -> int:
    return int(samples.total(_PROBES))


def _lateness(first: Scrape, last: Scrape) -> float:
    count, seconds = f"{_LATENESS}_count", f"{_LATENESS}_sum"
    starts = last.total(count) - first.total(count)
    return (last.total(seconds) - first.total(seconds)) / max(starts, 1)


def _watch(pid: int, address: str, seconds: float) -> list[ProcessResources]:
    """Scrape periodically; return the process's resources in each second."""
    samples, began, scraped = [process_resources(pid)], time.monotonic(), 0.0
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, _SAMPLE_SECONDS))
        samples.append(process_resources(pid))
        if time.monotonic() - scraped > _SCRAPE_SECONDS:
            scraped = time.monotonic()
            httpx.get(f"http://{address}/metrics", timeout=60).raise_for_status()
    return samples


def _line(mark: Mark, samples: Scrape) -> str:
    lag = samples.total(_LAG)
    return (
        f"{mark.at / 60:5.1f} min  {mark.fault:18} {mark.resident_bytes / 1e6:7.2f} MB"
        f"  {mark.files:3} files  {mark.threads:2} threads  {mark.probes:6} probes"
        f"  late {mark.lateness * 1000:5.1f} ms  lag {lag * 1000:4.0f} ms"
    )


_Faults = dict[str, Callable[[], AbstractContextManager[object]]]


@contextmanager
def _running(folder: Path, spec: SoakSpec) -> Iterator[tuple[Program, _Faults]]:
    """Run cloud, gate and exporter over TLS; yield the exporter and the faults."""
    projects = {name: int(spec.rate * INTERVAL * share) for name, share in _SHARES.items()}
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder)
    with ExitStack() as running:
        cloud = running.enter_context(
            simulated_cloud(
                folder, projects, f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}"
            )
        )
        proxy = running.enter_context(gate(httpx.URL(cloud.url).port or 0))
        config = folder / "config.yaml"
        config.write_text(_configuration(projects, cloud.url, proxy.port, authority))
        ours = running.enter_context(exporter(config, None, "--log.format=json"))
        control = running.enter_context(
            httpx.Client(base_url=f"{cloud.url}/simulator", verify=client_context(authority))
        )
        until(lambda: _probes(_totals(ours.url)) >= sum(projects.values()), 4 * INTERVAL, 1.0)

        @contextmanager
        def broken(**fault: object) -> Iterator[None]:
            control.put("faults", content=json.dumps([fault])).raise_for_status()
            try:
                yield
            finally:
                control.put("faults", content="[]").raise_for_status()

        yield (
            ours,
            {
                "endpoint down": proxy.closed,
                "errors 503": lambda: broken(kind="status", status=503),
                "resets": proxy.resetting,
                "slow responses": lambda: broken(kind="slow", seconds=1),
                "half-open": proxy.half_open,
                "no responses": lambda: broken(kind="hang"),
                "login down": lambda: broken(kind="iam_down"),
                "consoles down": lambda: broken(kind="reset", operation="console_page"),
            },
        )


def _configuration(projects: dict[str, int], cloud: str, gated: int, authority: Path) -> str:
    document = [f"global: {{interval: {INTERVAL}s, timeout: {TIMEOUT}s, history: 3}}\nprojects:"]
    for name, count in projects.items():
        auth = f"{{type: aksk, access_key: AK-{name}, secret_key: simulated-secret-key}}"
        document.append(
            f"""
  - name: {name}
    region: cn-southwest-2
    project_id: id-of-{name}
    endpoint: {f"https://127.0.0.1:{gated}" if name == "plain" else cloud}
    auth: {password_login(name, cloud) if name == LOGIN else auth}
    rate_limit: {{requests_per_second: 1000, burst: 1000}}
    tls: {{ca_file: {authority}}}
    depth: {"rfb" if name == DEEP_PROJECT else "api"}
    console: {{allowed_hosts: [127.0.0.1], tls: {{ca_file: {authority}}}}}
    servers: [{", ".join(f"{{id: {one}}}" for one in ids(name, count))}]"""
        )
    return "".join(document)
