"""A real Alertmanager with our configuration: who is told, and what is silent meanwhile."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml

from tests.real.programs import alertmanager, required, until

CONFIG = Path("deploy/alertmanager/alertmanager.yml")
JOB = "console-exporter"


def alert(name: str, severity: str = "warning", **labels: str) -> dict[str, Any]:
    """Return an alert as Prometheus sends it; labels without text are left out."""
    whole = {"alertname": name, "severity": severity, "job": JOB} | labels
    return {"labels": {key: text for key, text in whole.items() if text}}


class Alertmanager:
    """What is asked of a running Alertmanager."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v2"

    def take(self, *alerts: dict[str, Any]) -> None:
        httpx.post(f"{self._url}/alerts", json=alerts).raise_for_status()

    def silent(self, **labels: str) -> set[str]:
        """Return a short name of each inhibited alert with these labels."""
        return {
            _short(one["labels"])
            for one in self._alerts(labels)
            if one["status"]["inhibitedBy"] and one["status"]["state"] == "suppressed"
        }

    def loud(self, **labels: str) -> set[str]:
        """Return a short name of each alert with these labels of which somebody is told."""
        return {
            _short(one["labels"])
            for one in self._alerts(labels)
            if not one["status"]["inhibitedBy"]
        }

    def groups(self, **labels: str) -> list[tuple[str, dict[str, str], int]]:
        """Return receiver, labels and size of each group of alerts with these labels."""
        return [
            (group["receiver"]["name"], group["labels"], len(group["alerts"]))
            for group in self._get("alerts/groups", labels)
        ]

    def _alerts(self, labels: dict[str, str]) -> list[dict[str, Any]]:
        return self._get("alerts", labels)

    def _get(self, path: str, labels: dict[str, str]) -> list[dict[str, Any]]:
        filters = [f'{name}="{text}"' for name, text in labels.items()]
        answer = httpx.get(f"{self._url}/{path}", params={"filter": filters})
        answer.raise_for_status()
        found: list[dict[str, Any]] = answer.json()
        return found


def _short(labels: dict[str, str]) -> str:
    parts = (labels["alertname"], labels.get("project"), labels.get("server"))
    return " ".join(part for part in parts if part)


@pytest.fixture(scope="module", name="alertmanager")
def running_alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), CONFIG) as url:
        yield Alertmanager(url)


def test_amtool_has_nothing_to_say_about_the_configuration() -> None:
    checked = subprocess.run(
        [required("amtool"), "check-config", str(CONFIG)], check=False, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout


def test_it_runs_with_loopback_alone() -> None:
    receivers = yaml.safe_load(CONFIG.read_text())["receivers"]
    urls = [hook["url"] for receiver in receivers for hook in receiver["webhook_configs"]]
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


@pytest.mark.parametrize(
    "cause", ["ConsoleApiUnavailable", "ConsoleAuthFailing", "ConsoleFleetDegraded"]
)
def test_what_is_wrong_with_a_project_silences_its_consoles_and_no_others(
    alertmanager: Alertmanager, cause: str
) -> None:
    ours = {"job": f"{JOB}-{cause}", "project": "southwest"}
    east = ours | {"project": "east"}
    elsewhere = {"job": f"other-{cause}", "project": "southwest"}
    alertmanager.take(
        alert(cause, "critical", **ours),
        alert("ConsoleUnavailable", **ours, server="db-01", outcome="timeout", instance="one"),
        alert("ConsoleUnavailable", **ours, server="db-02", outcome="not_found", instance="two"),
        alert("ConsoleErrorBudgetBurn", "critical", **ours, long_window="1h"),
        alert("ConsoleUnavailable", **east, server="web-01"),
        alert("ConsoleUnavailable", **elsewhere, server="db-01"),
    )
    broken = {f"ConsoleUnavailable southwest {server}" for server in ("db-01", "db-02")}
    until(lambda: alertmanager.silent(job=ours["job"]) == broken, 30)
    assert alertmanager.loud(job=ours["job"]) == {
        f"{cause} southwest",
        "ConsoleErrorBudgetBurn southwest",
        "ConsoleUnavailable east web-01",
    }
    assert alertmanager.silent(job=elsewhere["job"]) == set()


def test_an_exporter_that_is_down_silences_everything_else_of_its_job(
    alertmanager: Alertmanager,
) -> None:
    down, other = {"job": "down"}, {"job": "up"}
    alertmanager.take(
        alert("ConsoleExporterDown", "critical", **down),
        alert("ConsoleFleetDegraded", "critical", **down, project="southwest"),
        alert("ConsoleUnavailable", **down, project="southwest", server="db-01"),
        alert("ConsoleConfigReloadFailed", **down, instance="one"),
        alert("HostDown", "critical", **down),
        alert("ConsoleUnavailable", **other, project="southwest", server="db-01"),
    )
    rest = {
        "ConsoleFleetDegraded southwest",
        "ConsoleUnavailable southwest db-01",
        "ConsoleConfigReloadFailed",
    }
    until(lambda: alertmanager.silent(**down) == rest, 30)
    assert alertmanager.loud(**down) == {"ConsoleExporterDown", "HostDown"}
    assert alertmanager.silent(**other) == set()


def test_a_label_that_both_alerts_lack_counts_as_equal(alertmanager: Alertmanager) -> None:
    # As when somebody's relabelling drops `job`.
    alertmanager.take(
        alert("ConsoleAuthFailing", "critical", job="", project="jobless"),
        alert("ConsoleUnavailable", job="", project="jobless", server="db-01"),
    )
    until(
        lambda: alertmanager.silent(project="jobless") == {"ConsoleUnavailable jobless db-01"}, 30
    )


def test_an_outage_is_one_notification_of_a_project(alertmanager: Alertmanager) -> None:
    job = {"job": "grouped"}
    servers = [
        alert("ConsoleUnavailable", **job, project=project, server=f"db-{number}")
        for project in ("southwest", "east")
        for number in range(500)
    ]
    alertmanager.take(*servers)
    until(lambda: sum(size for _, _, size in alertmanager.groups(**job)) == len(servers), 30)
    common = {"alertname": "ConsoleUnavailable"} | job
    assert sorted(alertmanager.groups(**job), key=str) == [
        ("team", common | {"project": "east"}, 500),
        ("team", common | {"project": "southwest"}, 500),
    ]


def test_what_is_critical_goes_to_who_is_on_call(alertmanager: Alertmanager) -> None:
    job = {"job": "routed"}
    for severity in ("critical", "warning", "info"):
        alertmanager.take(alert("Any", severity, **job, project=severity))
    until(lambda: len(alertmanager.groups(**job)) == 3, 30)
    assert {(labels["project"], name) for name, labels, _ in alertmanager.groups(**job)} == {
        ("critical", "on-call"),
        ("warning", "team"),
        ("info", "team"),
    }
