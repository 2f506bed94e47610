"""The rules as files: for Prometheus itself, and as a PrometheusRule for its operator."""

from typing import Any

import yaml

from monitoring.alerts import alerts
from monitoring.durations import duration
from monitoring.parameters import Parameters
from monitoring.recording import recording_rules
from monitoring.rule import Alert, Recording

_HEADER = "# Written by `make generate`; changes belong into monitoring/.\n"
_RECORDING, _ALERTS = "console-recording", "console-alerts"


def all_rules(parameters: Parameters) -> dict[str, str]:
    """Return the text of each rules file by its name."""
    recorded = _group(
        _RECORDING, parameters, [_recording_entry(rule) for rule in recording_rules(parameters)]
    )
    raised = _group(
        _ALERTS, parameters, [_alert_entry(alert, parameters) for alert in alerts(parameters)]
    )
    resource = {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": "console-exporter",
            "labels": {"app.kubernetes.io/name": "console-exporter"},
        },
        "spec": {"groups": [recorded, raised]},
    }
    # deploy/kubernetes takes the folder as it is: kustomize reads no single file of another folder.
    base = {
        "apiVersion": "kustomize.config.k8s.io/v1beta1",
        "kind": "Kustomization",
        "resources": ["prometheusrule.yaml"],
    }
    return {
        "kustomization.yaml": _text(base),
        "recording.yaml": _text({"groups": [recorded]}),
        "alerts.yaml": _text({"groups": [raised]}),
        "prometheusrule.yaml": _text(resource),
    }


def _group(name: str, parameters: Parameters, rules: list[dict[str, Any]]) -> dict[str, Any]:
    return {"name": name, "interval": duration(parameters.rule_interval), "rules": rules}


def _recording_entry(rule: Recording) -> dict[str, Any]:
    return {"record": rule.record, "expr": rule.expr}


def _alert_entry(alert: Alert, parameters: Parameters) -> dict[str, Any]:
    entry: dict[str, Any] = {"alert": alert.name, "expr": alert.expr}
    if alert.wait:
        entry["for"] = duration(alert.wait)
    if alert.keep:
        entry["keep_firing_for"] = duration(alert.keep)
    entry["labels"] = {"severity": alert.severity, **dict(alert.labels)}
    entry["annotations"] = {
        "summary": alert.summary,
        "description": alert.description,
        "runbook_url": f"{parameters.runbooks_url}/{alert.name}.md",
        "dashboard_url": _dashboard_url(alert, parameters),
    }
    return entry


def _dashboard_url(alert: Alert, parameters: Parameters) -> str:
    variables = (f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in alert.scope)
    return f"{parameters.grafana_url}/d/{alert.dashboard}?{'&'.join(variables)}"


class _Dumper(yaml.SafeDumper):
    """Writes queries of several lines as they are, and lists indented as people do."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002 - PyYAML's form
        super().increase_indent(flow, indentless=False)


def _represent_text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _represent_text)


def _text(content: dict[str, Any]) -> str:
    # Anchors and aliases would save nobody anything.
    return _HEADER + yaml.dump(
        content, Dumper=_Dumper, sort_keys=False, width=10_000, allow_unicode=True
    )
