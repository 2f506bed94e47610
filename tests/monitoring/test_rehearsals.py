"""Each alert is seen firing in a staged outage, and falling silent after it.

The stories are those that `simulate --scenario` knows. They take minutes, so they run side by
side, a few at a time.
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
from tests.real.rehearsal import ROOT, Rehearsal, Stage, rehearse, stage

pytestmark = pytest.mark.long

_AT_ONCE = 5
# A machine that stands still for seconds is an outage of its own; no story stops the exporter.
_TRIES, _SCRAPES_LOST_MAX = 3, 2
_DASHBOARDS = {"console-fleet", "console-server", "console-api", "console-exporter", "console-slo"}


@dataclass(frozen=True, slots=True)
class Expected:
    """What a story is to bring about: alerts by name, and the project that they are of.

    ``intended`` must fire and nothing beside it and ``consequences`` may; ``inhibited`` are those
    of the intended that another silences; ``lasting`` are there before the story begins.
    """

    project: str
    intended: frozenset[str]
    inhibited: frozenset[str] = frozenset()
    consequences: frozenset[str] = frozenset()
    lasting: bool = False


def expected(project: str, *intended: str, inhibited: str = "", consequences: str = "") -> Expected:
    names = frozenset(f"Console{name}" for name in intended)
    silenced = frozenset(f"Console{name}" for name in inhibited.split())
    others = frozenset(f"Console{name}" for name in consequences.split())
    return Expected(project, names | silenced, silenced, others)


STORIES = {
    # The first because it takes longest. What is red when the quota is cut is not the consoles.
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


def reload(running: Stage) -> None:
    answer = httpx.post(f"http://{running.exporter.url}/-/reload", timeout=30)
    assert answer.status_code == 200, answer.text


def take_half_of_southwest_out(running: Stage) -> None:
    text = running.config.read_text()
    running.config.with_suffix(".whole").write_text(text)
    lines = text.splitlines(keepends=True)
    running.config.write_text(
        "".join(one for one in lines if not ("name: web-" in one or "name: gpu-" in one))
    )
    reload(running)


def put_it_back(running: Stage) -> None:
    shutil.copy(running.config.with_suffix(".whole"), running.config)
    reload(running)


def change_over_to_the_other_user(running: Stage) -> None:
    text = running.config.read_text()
    text = text.replace("username: monitor", "username: monitor-2")
    running.config.write_text(text.replace("simulated-password", "simulated-password-2"))
    reload(running)


def undisturbed(name: str, stories: Path) -> Rehearsal:
    """Run one story, again where it went wrong on a machine that disturbed it."""
    for attempt in range(_TRIES):
        folder = stories / f"{name}-{attempt}"
        folder.mkdir()
        seen = rehearsed(name, folder)
        if seen.scrapes_missing <= _SCRAPES_LOST_MAX:
            break
        with suppress(AssertionError):
            judge(name, seen)
            break
    return seen


def judge(name: str, seen: Rehearsal) -> None:
    """Hold a story to the alerts that it is to raise."""
    story = STORIES[name]
    assert seen.scrapes_failed <= _SCRAPES_LOST_MAX
    assert seen.before == (story.intended if story.lasting else set())
    assert seen.names >= story.intended
    assert seen.names <= story.intended | story.consequences
    for alert in seen.during.values():
        called = alert.labels["alertname"]
        if called in story.intended | story.consequences:
            assert alert.inhibited == (called in story.inhibited), called
            assert alert.labels["project"] in story.project.split(), called
    assert seen.left == set()


def rehearsed(name: str, folder: Path) -> Rehearsal:
    """Run one story from beginning to end."""
    with ExitStack() as running:
        if name != "certificate-expiring":
            acts: dict[str, tuple[Callable[[Stage], None] | None, ...]] = {
                "inventory-shrunk": (take_half_of_southwest_out, put_it_back),
                "password-changed": (None, change_over_to_the_other_user),
            }
            return rehearse(running.enter_context(stage(name, folder)), *acts.get(name, ()))
        certificates = Certificates()
        ca_file = certificates.write_authority(folder / "ca.pem")
        now = datetime.now(UTC)

        def flags(until: datetime) -> list[str]:
            pem = certificates.write_good(folder, until)
            return [f"--tls.cert-file={pem.certificate}", f"--tls.key-file={pem.key}"]

        # In little time: 21 days are 8.4 hours.
        soon = flags(now + timedelta(hours=5))
        on_stage = running.enter_context(stage(name, folder, *soon, ca_file=ca_file))

        def renew(on_stage: Stage) -> None:
            port = on_stage.cloud.url.rpartition(":")[2]
            on_stage.cloud.stop()
            later = flags(now + timedelta(days=90))
            running.enter_context(
                simulator("--scenario=calm", f"--listen=127.0.0.1:{port}", *later)
            )

        return rehearse(on_stage, cure=renew)


@pytest.fixture(scope="module")
def rehearsals(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Future[Rehearsal]]]:
    for name in ("prometheus", "prometheus-alertmanager"):
        required(name)
    # Made before the threads: the factory makes its own folder anew for each that asks it first.
    stories = tmp_path_factory.mktemp("stories")
    with ThreadPoolExecutor(_AT_ONCE) as side_by_side:
        yield {name: side_by_side.submit(undisturbed, name, stories) for name in STORIES}


@pytest.mark.parametrize("name", STORIES)
def test_a_story_raises_its_alerts_and_no_others(
    rehearsals: dict[str, Future[Rehearsal]], name: str
) -> None:
    judge(name, rehearsals[name].result())


@pytest.mark.parametrize("name", STORIES)
def test_every_alert_leads_to_its_runbook_and_a_dashboard(
    rehearsals: dict[str, Future[Rehearsal]], name: str
) -> None:
    for alert in rehearsals[name].result().during.values():
        runbook = alert.annotations["runbook_url"].rpartition("/")[2]
        assert (ROOT / "runbooks" / runbook).is_file()
        uid = alert.annotations["dashboard_url"].partition("/d/")[2].partition("?")[0]
        assert uid in _DASHBOARDS
        assert "<no value>" not in repr(alert.annotations)
        assert "%!" not in repr(alert.annotations)


def test_an_unavailable_console_says_which_where_and_how(
    rehearsals: dict[str, Future[Rehearsal]],
) -> None:
    (alert,) = rehearsals["one-console-dead"].result().called("ConsoleUnavailable")
    labels = alert.labels

    assert (labels["server"], labels["project"], labels["region"]) == (
        "queue-01",
        "east",
        "cn-east-3",
    )
    assert (labels["outcome"], labels["stage"]) == ("websocket_rejected", "websocket")
