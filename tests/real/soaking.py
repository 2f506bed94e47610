"""A fleet probed for a long time while faults come and go: what grows, what drifts, what is lost.

Memory, files and threads are taken at their low-water marks of each fault's period: what requests,
scrapes and faults hold for a while comes on top, and goes again. A line is laid through the marks
of memory that follow the warm-up, in which histories and pools fill.
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
from tests.real.endurance import LOGIN, WITNESS, Scrape, password_login, scrape, simulated_cloud
from tests.real.endurance import server_ids as ids
from tests.real.gate import gate
from tests.real.holdings import Holdings, holdings
from tests.real.programs import Program, exporter, until

INTERVAL, TIMEOUT = 10, 3
_SAMPLE_SECONDS = 1.0
_SCRAPE_SECONDS = 15.0
_PROBES = "console_probes_total"
_MISSED = "console_scheduler_missed_probes_total"
_LATENESS = "console_scheduler_lateness_seconds"
_LAG = "console_exporter_event_loop_lag_seconds"
_UNDER_WAY = ("console_api_requests_in_flight", "console_throttle_queue_length")
# Of ten servers one is probed down to its machine, and one has a log-in whose tokens end.
_SHARES = {"plain": 0.8, WITNESS: 0.1, LOGIN: 0.1}


@dataclass(frozen=True, slots=True)
class Soak:
    """What to run: probes a second, seconds in all and of warm-up, and of a fault's period."""

    rate: int
    seconds: float
    warm_up: float
    period: float


@dataclass(frozen=True, slots=True)
class Mark:
    """What one period came to; ``at`` is seconds since the start, ``lateness`` seconds."""

    at: float
    fault: str
    resident_bytes: int
    files: int
    threads: int
    probes: int
    lateness: float


@dataclass
class Soaked:
    """What was seen after the warm-up."""

    marks: list[Mark] = field(default_factory=list)
    expected: float = 0.0
    accounted: float = 0.0
    under_way: float = 0.0
    missed: float = 0.0
    log: str = ""

    @property
    def growth(self) -> tuple[float, float]:
        """Return the bytes an hour that memory grows by, and the standard error of that."""
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
        """Return the slots that came to no result and were not counted as missed."""
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


def soak(folder: Path, asked: Soak, told: Callable[[str], None] = lambda _line: None) -> Soaked:
    """Run it to its end; ``told`` gets a line for each period."""
    with _running(folder, asked) as (ours, faults):
        pid, started = ours.process.pid, time.monotonic()
        soaked, first, last = Soaked(), None, _totals(ours.url)
        for name, fault in itertools.cycle(faults.items()):
            if time.monotonic() - started >= asked.seconds:
                break
            # Calm, fault, calm: what is begun in a period ends in it.
            seen = _watch(pid, ours.url, asked.period / 4)
            with fault():
                seen += _watch(pid, ours.url, asked.period / 4)
            seen += _watch(pid, ours.url, asked.period / 2)
            before, last = last, _totals(ours.url)
            at = time.monotonic() - started
            mark = Mark(
                at,
                name,
                min(one.resident_bytes for one in seen),
                min(one.files for one in seen),
                min(one.threads for one in seen),
                _probes(last) - _probes(before),
                _lateness(before, last),
            )
            told(_line(mark, last))
            if at < asked.warm_up:
                continue
            if first is None:
                first = last
                continue
            soaked.marks.append(mark)
            _account(soaked, first, last, asked.rate)
        soaked.log = ours.output
    return soaked


def _totals(address: str) -> Scrape:
    """Scrape what is not of single servers: to read those would take the processor from others."""
    names = (_PROBES, _MISSED, _LATENESS, _LAG, *_UNDER_WAY)
    return scrape(address, timeout=30, names=names)


def _account(soaked: Soaked, first: Scrape, last: Scrape, rate: int) -> None:
    """Hold slots against results: each slot has a result, or was missed. Skipped ones are both."""
    soaked.expected = rate * (last.at - first.at)
    soaked.missed = last.total(_MISSED) - first.total(_MISSED)
    soaked.accounted = _results(last) - _results(first) + soaked.missed
    soaked.under_way = sum(last.total(name) + first.total(name) for name in _UNDER_WAY)


def _results(seen: Scrape) -> float:
    return seen.total(_PROBES) - seen.total(_PROBES, outcome="skipped")


def _probes(seen: Scrape) -> int:
    return int(seen.total(_PROBES))


def _lateness(first: Scrape, last: Scrape) -> float:
    count, seconds = f"{_LATENESS}_count", f"{_LATENESS}_sum"
    starts = last.total(count) - first.total(count)
    return (last.total(seconds) - first.total(seconds)) / max(starts, 1)


def _watch(pid: int, address: str, seconds: float) -> list[Holdings]:
    """Scrape now and then; return what the process held in each second."""
    seen, began, scraped = [holdings(pid)], time.monotonic(), 0.0
    while (left := began + seconds - time.monotonic()) > 0:
        time.sleep(min(left, _SAMPLE_SECONDS))
        seen.append(holdings(pid))
        if time.monotonic() - scraped > _SCRAPE_SECONDS:
            scraped = time.monotonic()
            httpx.get(f"http://{address}/metrics", timeout=60).raise_for_status()
    return seen


def _line(mark: Mark, seen: Scrape) -> str:
    lag = seen.total(_LAG)
    return (
        f"{mark.at / 60:5.1f} min  {mark.fault:18} {mark.resident_bytes / 1e6:7.2f} MB"
        f"  {mark.files:3} files  {mark.threads:2} threads  {mark.probes:6} probes"
        f"  late {mark.lateness * 1000:5.1f} ms  lag {lag * 1000:4.0f} ms"
    )


_Faults = dict[str, Callable[[], AbstractContextManager[object]]]


@contextmanager
def _running(folder: Path, asked: Soak) -> Iterator[tuple[Program, _Faults]]:
    """Run cloud, gate and exporter, all over TLS; yield the exporter and what can go wrong."""
    projects = {name: int(asked.rate * INTERVAL * share) for name, share in _SHARES.items()}
    certificates = Certificates()
    authority = certificates.write_authority(folder / "ca.pem")
    pem = certificates.write_good(folder)
    with ExitStack() as running:
        cloud = running.enter_context(
            simulated_cloud(
                folder, projects, f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}"
            )
        )
        way = running.enter_context(gate(httpx.URL(cloud.url).port or 0))
        config = folder / "config.yaml"
        config.write_text(_configuration(projects, cloud.url, way.port, authority))
        ours = running.enter_context(exporter(config, None, "--log.format=json"))
        levers = running.enter_context(
            httpx.Client(base_url=f"{cloud.url}/simulator", verify=client_context(authority))
        )
        until(lambda: _probes(_totals(ours.url)) >= sum(projects.values()), 4 * INTERVAL, 1.0)

        @contextmanager
        def broken(**fault: object) -> Iterator[None]:
            levers.put("faults", content=json.dumps([fault])).raise_for_status()
            try:
                yield
            finally:
                levers.put("faults", content="[]").raise_for_status()

        yield (
            ours,
            {
                "endpoint down": way.shut,
                "answers 503": lambda: broken(kind="status", status=503),
                "resets": way.resetting,
                "slow answers": lambda: broken(kind="slow", seconds=1),
                "half-open": way.half_open,
                "no answers": lambda: broken(kind="hang"),
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
    depth: {"rfb" if name == WITNESS else "api"}
    console: {{allowed_hosts: [127.0.0.1], tls: {{ca_file: {authority}}}}}
    servers: [{", ".join(f"{{id: {one}}}" for one in ids(name, count))}]"""
        )
    return "".join(document)
