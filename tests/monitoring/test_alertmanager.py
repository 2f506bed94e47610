"""Routing and inhibition of the Alertmanager configuration, in a real Alertmanager."""

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
    """Return an alert as Prometheus sends it; empty labels are left out."""
    whole = {"alertname": name, "severity": severity, "job": JOB} | labels
    return {"labels": {key: text for key, text in whole.items() if text}}


class Alertmanager:
    """A client of a running Alertmanager."""

    def __init__(self, url: str) -> None:
        self._url = f"{url}/api/v2"

    def send(self, *alerts: dict[str, Any]) -> None:
        httpx.post(f"{self._url}/alerts", json=alerts).raise_for_status()

    def inhibited(self, **labels: str) -> set[str]:
        """Return a short name of each inhibited alert with these labels."""
        return {
            _short(one["labels"])
            for one in self._alerts(labels)
            if one["status"]["inhibitedBy"] and one["status"]["state"] == "suppressed"
        }

    def not_inhibited(self, **labels: str) -> set[str]:
        """Return a short name of each alert with these labels that is not inhibited."""
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
        response = httpx.get(f"{self._url}/{path}", params={"filter": filters})
        response.raise_for_status()
        found: list[dict[str, Any]] = response.json()
        return found


def _short(labels: dict[str, str]) -> str:
    parts = (labels["alertname"], labels.get("project"), labels.get("server"))
    return " ".join(part for part in parts if part)


@pytest.fixture(scope="module", name="alertmanager")
def running_alertmanager(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Alertmanager]:
    with alertmanager(tmp_path_factory.mktemp("alertmanager"), CONFIG) as url:
        yield Alertmanager(url)


def test_amtool_check_config_passes() -> None:
    checked = subprocess.run(
        [required("amtool"), "check-config", str(CONFIG)], check=False, capture_output=True
    )
    assert checked.returncode == 0, checked.stdout


def test_default_receivers_are_on_loopback() -> None:
    receivers = yaml.safe_load(CONFIG.read_text())["receivers"]
    urls = [hook["url"] for receiver in receivers for hook in receiver["webhook_configs"]]
    assert all(url.startswith("http://127.0.0.1:") for url in urls)


@pytest.mark.parametrize(
    "cause", ["ConsoleApiUnavailable", "ConsoleAuthFailing", "ConsoleFleetDegraded"]
)
def test_alert_of_a_project_inhibits_only_its_console_alerts(
    alertmanager: Alertmanager, cause: str
) -> None:
    ours = {"job": f"{JOB}-{cause}", "project": "southwest"}
    east = ours | {"project": "east"}
    elsewhere = {"job": f"other-{cause}", "project": "southwest"}
    alertmanager.send(
        alert(cause, "critical", **ours),
        alert("ConsoleUnavailable", **ours, server="db-01", outcome="timeout", instance="one"),
        alert("ConsoleUnavailable", **ours, server="db-02", outcome="not_found", instance="two"),
        alert("ConsoleErrorBudgetBurn", "critical", **ours, long_window="1h"),
        alert("ConsoleUnavailable", **east, server="web-01"),
        alert("ConsoleUnavailable", **elsewhere, server="db-01"),
    )
    broken = {f"ConsoleUnavailable southwest {server}" for server in ("db-01", "db-02")}
    until(lambda: alertmanager.inhibited(job=ours["job"]) == broken, 30)
    assert alertmanager.not_inhibited(job=ours["job"]) == {
        f"{cause} southwest",
        "ConsoleErrorBudgetBurn southwest",
        "ConsoleUnavailable east web-01",
    }
    assert alertmanager.inhibited(job=elsewhere["job"]) == set()


def test_exporter_down_inhibits_all_other_console_alerts_of_the_job(
    alertmanager: Alertmanager,
) -> None:
    down, other = {"job": "down"}, {"job": "up"}
    alertmanager.send(
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
    until(lambda: alertmanager.inhibited(**down) == rest, 30)
    assert alertmanager.not_inhibited(**down) == {"ConsoleExporterDown", "HostDown"}
    assert alertmanager.inhibited(**other) == set()


def test_label_that_both_alerts_lack_counts_as_equal(alertmanager: Alertmanager) -> None:
    # For example, relabelling drops `job`.
    alertmanager.send(
        alert("ConsoleAuthFailing", "critical", job="", project="jobless"),
        alert("ConsoleUnavailable", job="", project="jobless", server="db-01"),
    )
    until(
        lambda: alertmanager.inhibited(project="jobless") == {"ConsoleUnavailable jobless db-01"},
        30,
    )


def test_outage_is_one_notification_per_project(alertmanager: Alertmanager) -> None:
    job = {"job": "grouped"}
    servers = [
        alert("ConsoleUnavailable", **job, project=project, server=f"db-{number}")
        for project in ("southwest", "east")
        for number in range(500)
    ]
    alertmanager.send(*servers)
    until(lambda: sum(size for _, _, size in alertmanager.groups(**job)) == len(servers), 30)
    common = {"alertname": "ConsoleUnavailable"} | job
    assert sorted(alertmanager.groups(**job), key=str) == [
        ("team", common | {"project": "east"}, 500),
        ("team", common | {"project": "southwest"}, 500),
    ]


def test_critical_alerts_go_to_on_call(alertmanager: Alertmanager) -> None:
    job = {"job": "routed"}
    for severity in ("critical", "warning", "info"):
        alertmanager.send(alert("Any", severity, **job, project=severity))
    until(lambda: len(alertmanager.groups(**job)) == 3, 30)
    assert {(labels["project"], name) for name, labels, _ in alertmanager.groups(**job)} == {
        ("critical", "on-call"),
        ("warning", "team"),
        ("info", "team"),
    }
