"""The rule files are up to date, use existing metrics, and have readable texts."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from exporter.metrics import catalog
from exporter.outcome import Outcome, Verdict
from monitoring.__main__ import generated, main
from monitoring.alerts import alerts
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.recording import recording_rules
from monitoring.rule import INCONCLUSIVE
from monitoring.rules_file import all_rules
from tests.monitoring.promtool import InputSeries, alert_texts, counting, level
from tests.real.programs import required

ALERTS = alerts(Parameters())
RECORDED = recording_rules(Parameters())
QUERIES = [alert.expr for alert in ALERTS] + [rule.expr for rule in RECORDED]
DASHBOARDS = {f"console-{name}" for name in ("fleet", "server", "api", "exporter", "slo")}
NAMES = {
    "ConsoleExporterDown", "ConsoleSchedulerStalled", "ConsoleUnavailable", "ConsoleFleetDegraded",
    "ConsoleApiUnavailable", "ConsoleApiThrottled", "ConsoleProbeBudgetExhausted",
    "ConsoleProbeStale", "ConsoleAuthFailing", "ConsoleTokenNotRefreshed", "ConsoleInventoryShrunk",
    "ConsoleConfigReloadFailed", "ConsoleCertificateExpiring", "ConsoleApiSlow",
    "ConsoleErrorBudgetBurn", "ConsoleDiscoveryStale",
}  # fmt: skip


def test_committed_files_are_up_to_date() -> None:
    for name, text in generated(Parameters()).items():
        assert Path(name).read_text() == text, f"{name} is out of date: run `make generate`"


def test_folders_have_generated_files_only() -> None:
    for folder in ("rules", "dashboards"):
        names = {name for name in generated(Parameters()) if name.startswith(f"{folder}/")}
        assert {str(path) for path in Path(folder).iterdir()} == names


def test_promtool_check_rules_passes(rules: Path) -> None:
    files = [rules / "recording.yaml", rules / "alerts.yaml"]
    checked = subprocess.run(
        [required("promtool"), "check", "rules", "--lint=all", "--lint-fatal", *map(str, files)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_prometheus_configuration_has_the_intervals_and_job_of_the_rules() -> None:
    path = "deploy/prometheus/prometheus.yml"
    checked = subprocess.run(
        [required("promtool"), "check", "config", path], capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    config: Any = yaml.safe_load(Path(path).read_text())
    parameters = Parameters()
    assert config["global"] == {
        "scrape_interval": duration(parameters.scrape_interval),
        "evaluation_interval": duration(parameters.rule_interval),
    }
    assert [scrape["job_name"] for scrape in config["scrape_configs"]] == [parameters.job]


def test_prometheusrule_has_the_same_groups() -> None:
    files = all_rules(Parameters())
    resource = yaml.safe_load(files["prometheusrule.yaml"])
    assert (resource["apiVersion"], resource["kind"]) == (
        "monitoring.coreos.com/v1",
        "PrometheusRule",
    )
    groups = [
        group
        for name in ("recording.yaml", "alerts.yaml")
        for group in yaml.safe_load(files[name])["groups"]
    ]
    assert resource["spec"] == {"groups": groups}


def test_metrics_of_rules_are_exported_or_recorded() -> None:
    ours = {metric.name for metric in catalog.CATALOG}
    ours |= {f"{m.name}_bucket" for m in catalog.CATALOG if m.kind is catalog.Kind.HISTOGRAM}
    known = ours | {rule.record for rule in RECORDED} | {"up"}
    for query in QUERIES:
        assert set(re.findall(r"([a-zA-Z_:][\w:]*)\{", query)) <= known


def test_labels_of_selectors_are_labels_of_the_metric() -> None:
    labels = {metric.name: {*metric.labels, "job"} for metric in catalog.CATALOG}
    for query in QUERIES:
        for name, matchers in re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", query):
            used = set(re.findall(r"(\w+)[=!]", matchers))
            assert used <= labels.get(name, used), name


def test_selectors_filter_by_job_and_rules_use_no_topk() -> None:
    for query in QUERIES:
        assert query.count("{") == query.count('{job="console-exporter"')
        assert not re.search(r"\b(topk|bottomk)\b", query)


def test_recorded_series_are_named_level_metric_operation() -> None:
    assert all(re.fullmatch(r"[a-z_]+:[a-z_]+:[a-z0-9_]+", rule.record) for rule in RECORDED)


def test_inconclusive_outcomes_equal_those_of_the_exporter() -> None:
    assert set(INCONCLUSIVE) == {o for o in Outcome if o.verdict is Verdict.INCONCLUSIVE}


def test_alert_names() -> None:
    assert {alert.name for alert in ALERTS} == NAMES


def test_alerts_have_severity_texts_and_links() -> None:
    groups = yaml.safe_load(Path("rules/alerts.yaml").read_text())["groups"]
    for rule in (rule for group in groups for rule in group["rules"]):
        assert rule["labels"]["severity"] in {"critical", "warning", "info"}
        assert not any("{{" in label for label in rule["labels"].values())
        annotations = rule["annotations"]
        assert set(annotations) == {"summary", "description", "runbook_url", "dashboard_url"}
        assert annotations["runbook_url"].endswith(f"/runbooks/{rule['alert']}.md")
        assert re.search(r"/d/([\w-]+)\?var-job=", annotations["dashboard_url"])[1] in DASHBOARDS  # type: ignore[index]
        assert len(re.sub(r"{{.*?}}", "", annotations["summary"])) < 80


def test_compressed_time_changes_only_numbers() -> None:
    short = Parameters().compressed(60)
    compressed = [alert.expr for alert in alerts(short)]
    compressed += [rule.expr for rule in recording_rules(short)]
    for one, other in zip(QUERIES, compressed, strict=True):
        assert _without_numbers(one) == _without_numbers(other)
    assert [rule.record for rule in RECORDED] == [rule.record for rule in recording_rules(short)]


def _without_numbers(query: str) -> str:
    return re.sub(r"\b(\d+(\.\d+)?(ms|[smhd])?)+\b", "N", query)


def test_parameters_are_flags(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(
        [f"--output={tmp_path}", "--probe-interval=5m", "--job=consoles",
         "--unavailable-failures=5", "--fleet-success-ratio=0.9", "--scale=10"]
    )  # fmt: skip
    assert capsys.readouterr().out == ""
    written = {str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*") if path.is_file()}
    assert written == set(generated(Parameters()))
    text = (tmp_path / "rules" / "recording.yaml").read_text()
    assert 'job="consoles"} >= 5' in text
    assert "> 150)" in text
    assert "console-exporter" not in text


def test_alert_texts(rules: Path) -> None:
    everything = _everything_fails()
    texts = alert_texts(rules, everything, "34m", *sorted(NAMES))
    assert not re.search(r"<no value>|<error|%!|e[+-]\d\d", texts)
    for piece in (
        "The console of db 01/ä (southwest) cannot be opened: server_error at api",
        "id id-1, project southwest, region cn-southwest-2",
        "failed 3 probes in a row",
        "?var-job=console-exporter&var-project=southwest&var-server=db+01%2F%C3%A4&var-server_id=id-1",
        "Only 0% of the consoles of southwest can be opened (expected: 95%)",
        "The certificate of a.example expires in 2d 23h 26m 0s",
        "60% of the API requests of southwest fail (alert above 50%)",
        "20% of the API requests of southwest get status 429 (allowed: 5%)",
        "5% of the API requests of southwest take longer than 29s (allowed: 5s)",
        "100% of probes of southwest failed in the last hour (allowed: 1%)",
        "100% of probes of southwest failed in the last 3 days (allowed: 1%)",
        "The objective allows 1%; this alert fires above 14.4%.",
        "Servers of southwest without a conclusive probe for 5m: 25",
        "Only 50% of the servers of southwest are still listed",
        "Prometheus cannot scrape any exporter of job console-exporter",
        "one:10429 has started no probe for 3m",
        "The cloud server list of southwest is older than one hour",
        "could not read the cloud server list of project southwest for 1h, or never",
    ):
        assert piece in texts, f"{piece!r} is not in\n{texts}"


def _everything_fails() -> InputSeries:
    minutes = 40.0
    inputs = InputSeries()

    def steady(name: str, value: float, **more: str) -> None:
        inputs.add(name, level((minutes, value)), **more)

    def count(name: str, per_minute: float, **more: str) -> None:
        inputs.add(name, counting((minutes, per_minute)), project="southwest", **more)

    steady("up", 0)
    steady("console_exporter_targets", 25)
    steady("console_scheduler_overdue_servers", 25)
    steady("console_exporter_config_last_reload_successful", 0)
    for number in range(1, 26):
        own = {"project": "southwest", "server_id": f"id-{number}", "server": f"db 0{number}/ä"}
        steady("console_server_info", 1, **own, region="cn-southwest-2", depth="api")
        steady("console_probe_success", 0, **own)
        steady("console_probe_consecutive_failures", 3 if number == 1 else 0, **own)
        steady("console_probe_outcome", 1, **own, outcome="server_error", stage="api")
        steady("console_probe_last_attempt_timestamp_seconds", 0, **own)
        steady("console_probe_last_verdict_timestamp_seconds", 0, **own)
    for outcome in ("timeout", "skipped", "unauthorized"):
        count("console_probes_total", 10, outcome=outcome)
    for code, share in (("200", 0.2), ("429", 0.2), ("500", 0.6)):
        count("console_api_requests_total", 100 * share, operation="remote_console", code=code)
    for bound, share in (("10", 0.0), ("30", 100.0), ("+Inf", 100.0)):
        own = {"operation": "remote_console", "le": bound}
        count("console_api_request_duration_seconds_bucket", share, **own)
    count("console_auth_failures_total", 1)
    count("console_auth_refreshes_total", 0)
    steady("console_auth_token_expiry_timestamp_seconds", 1900, project="southwest")
    host = {"project": "southwest", "host": "a.example"}
    steady("console_tls_certificate_expiry_timestamp_seconds", 3 * 86400, **host)
    far = host | {"host": "b.example"}
    steady("console_tls_certificate_expiry_timestamp_seconds", 9 * 86400, **far)
    shrinking = level((10, 50), (30, 25))
    inputs.add("console_discovery_servers", shrinking, project="southwest", source="static")
    never = {"project": "southwest", "source": "cloud"}
    steady("console_discovery_last_success_timestamp_seconds", -3600, **never)
    return inputs
