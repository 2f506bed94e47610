"""Addresses of our dashboards and runbooks, as links in a table's cells.

Links keep the time and what was picked; ``${__data.fields…}`` is the row's own label.
"""

from monitoring.parameters import Parameters

FLEET, SERVER, API = "console-fleet", "console-server", "console-api"
EXPORTER, SLO = "console-exporter", "console-slo"

_KEPT = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


def to_server() -> str:
    """Return the link to the server of a row."""
    return f"/d/{SERVER}?{_KEPT}&{_field('project')}&{_field('server')}&{_field('server_id')}"


def to_project(uid: str) -> str:
    """Return the link to a dashboard for the project of a row."""
    return f"/d/{uid}?{_KEPT}&{_field('project')}"


def to_runbook(parameters: Parameters) -> str:
    """Return the link to the runbook of a row's alert."""
    return f"{parameters.runbooks_url}/${{__data.fields.alertname}}.md"


def _field(label: str) -> str:
    return f"var-{label}=${{__data.fields.{label}:percentencode}}"
