"""Alerts fire in simulated outages and end after them.

The scenarios are those of `simulate --scenario`. They take minutes, so several run in parallel.
"""

import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from tests.real.certificates import Certificates
from tests.real.programs import required, simulator
from tests.real.rehearsal import ROOT, Environment, Rehearsal, environment, rehearse

pytestmark = pytest.mark.long

_AT_ONCE = 5
# Lost scrapes mean that the test machine was too busy: no scenario stops the exporter.
_TRIES, _SCRAPES_LOST_MAX = 3, 2
_DASHBOARDS = {"console-fleet", "console-server", "console-api", "console-exporter", "console-slo"}


@dataclass(frozen=True, slots=True)
class Expected:
    """The alerts that a scenario raises, and their project.

    ``intended`` must fire, ``consequences`` may fire, all others must not. ``inhibited`` are the
    intended alerts that another alert inhibits. If ``lasting``, they fire before the outage begins.
    """

    project: str
    intended: frozenset[str]
    inhibited: frozenset[str] = frozenset()
    consequences: frozenset[str] = frozenset()
    lasting: bool = False


def expected(project: str, *intended: str, inhibited: str = "", consequences: str = "") -> Expected:
    names = frozenset(f"Console{name}" for name in intended)
    silenced = frozenset(f"Console{name}" for name in inhibited.split())
    possible = frozenset(f"Console{name}" for name in consequences.split())
    return Expected(project, names | silenced, silenced, possible)


SCENARIOS = {
    # First because it takes longest. A reduced quota makes no console unavailable.
    "quota-cut": expected(
        "east", "ProbeBudgetExhausted", "ApiThrottled", consequences="ProbeStale DiscoveryStale"
    ),
    "one-console-dead": expected("east", "Unavailable", consequences="ErrorBudgetBurn"),
    "gateway-dead": expected("east", "Unavailable", "ErrorBudgetBurn"),
    "api-down": expected(
        "southwest", "ApiUnavailable", "FleetDegraded", "ErrorBudgetBurn", inhibited="Unavailable"
    ),
    "api-slow": expected("southwest", "ApiSlow"),
    "password-changed": expected("southwest", "AuthFailing", "ProbeStale"),
    "certificate-expiring": replace(
        expected("southwest east", "CertificateExpiring"), lasting=True
    ),
    "half-the-fleet": expected(
        "southwest", "FleetDegraded", "ErrorBudgetBurn", inhibited="Unavailable"
    ),
    "inventory-shrunk": expected("southwest", "InventoryShrunk"),
}


def reload(running: Environment) -> None:
    response = httpx.post(f"http://{running.exporter.url}/-/reload", timeout=30)
    assert response.status_code == 200, response.text


def remove_half_of_southwest(running: Environment) -> None:
    text = running.config.read_text()
    running.config.with_suffix(".whole").write_text(text)
    lines = text.splitlines(keepends=True)
    running.config.write_text(
        "".join(one for one in lines if not ("name: web-" in one or "name: gpu-" in one))
    )
    reload(running)


def restore_southwest(running: Environment) -> None:
    shutil.copy(running.config.with_suffix(".whole"), running.config)
    reload(running)


def switch_user(running: Environment) -> None:
    text = running.config.read_text()
    text = text.replace("username: monitor", "username: monitor-2")
    running.config.write_text(text.replace("simulated-password", "simulated-password-2"))
    reload(running)


def retry_until_undisturbed(name: str, scenarios: Path) -> Rehearsal:
    """Run one scenario; retry if it failed and scrapes were lost on a busy machine."""
    for attempt in range(_TRIES):
        folder = scenarios / f"{name}-{attempt}"
        folder.mkdir()
        seen = run_once(name, folder)
        if seen.scrapes_missing <= _SCRAPES_LOST_MAX:
            break
        with suppress(AssertionError):
            check(name, seen)
            break
    return seen


def check(name: str, seen: Rehearsal) -> None:
    """Assert that a scenario raised the expected alerts."""
    expectation = SCENARIOS[name]
    assert seen.scrapes_failed <= _SCRAPES_LOST_MAX
    assert seen.before == (expectation.intended if expectation.lasting else set())
    assert seen.names >= expectation.intended
    assert seen.names <= expectation.intended | expectation.consequences
    for alert in seen.during.values():
        alertname = alert.labels["alertname"]
        if alertname in expectation.intended | expectation.consequences:
            assert alert.inhibited == (alertname in expectation.inhibited), alertname
            assert alert.labels["project"] in expectation.project.split(), alertname
    assert seen.left == set()


def run_once(name: str, folder: Path) -> Rehearsal:
    """Run one scenario from start to end."""
    with ExitStack() as running:
        if name != "certificate-expiring":
            actions: dict[str, tuple[Callable[[Environment], None] | None, ...]] = {
                "inventory-shrunk": (remove_half_of_southwest, restore_southwest),
                "password-changed": (None, switch_user),
            }
            return rehearse(
                running.enter_context(environment(name, folder)), *actions.get(name, ())
            )
        certificates = Certificates()
        ca_file = certificates.write_authority(folder / "ca.pem")
        now = datetime.now(UTC)

        def flags(until: datetime) -> list[str]:
            pem = certificates.write_good(folder, until)
            return [f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}"]

        # In compressed time 21 days are 8.4 hours.
        soon = flags(now + timedelta(hours=5))
        started = running.enter_context(environment(name, folder, *soon, ca_file=ca_file))

        def renew(started: Environment) -> None:
            port = started.cloud.url.rpartition(":")[2]
            started.cloud.stop()
            later = flags(now + timedelta(days=90))
            running.enter_context(
                simulator("--scenario=calm", f"--listen=127.0.0.1:{port}", *later)
            )

        return rehearse(started, recover=renew)


@pytest.fixture(scope="module")
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Rehearsal]]]:
    for name in ("prometheus", "prometheus-alertmanager"):
        required(name)
    # Created before the threads start, because the factory is not thread-safe.
    scenarios = tmp_path_factory.mktemp("scenarios")
    with ThreadPoolExecutor(_AT_ONCE) as executor:
        yield {
            name: executor.submit(retry_until_undisturbed, name, scenarios) for name in SCENARIOS
        }


@pytest.mark.parametrize("name", SCENARIOS)
def test_scenario_raises_its_alerts_and_no_others(
    rehearsals: dict[str, Future[Rehearsal]], name: str
) -> None:
    check(name, rehearsals[name].result())


@pytest.mark.parametrize("name", SCENARIOS)
def test_alerts_link_to_their_runbook_and_a_dashboard(
    rehearsals: dict[str, Future[Rehearsal]], name: str
) -> None:
    for alert in rehearsals[name].result().during.values():
        runbook = alert.annotations["runbook_url"].rpartition("/")[2]
        assert (ROOT / "runbooks" / runbook).is_file()
        uid = alert.annotations["dashboard_url"].partition("/d/")[2].partition("?")[0]
        assert uid in _DASHBOARDS
        assert "<no value>" not in repr(alert.annotations)
        assert "%!" not in repr(alert.annotations)


def test_unavailable_console_names_server_outcome_and_stage(
    rehearsals: dict[str, Future[Rehearsal]],
) -> None:
    (alert,) = rehearsals["one-console-dead"].result().alerts_named("ConsoleUnavailable")
    labels = alert.labels

    assert (labels["server"], labels["project"], labels["region"]) == (
        "queue-01",
        "east",
        "cn-east-3",
    )
    assert (labels["outcome"], labels["stage"]) == ("websocket_rejected", "websocket")
