"""Links from table cells to dashboards and runbooks.

Links keep the time range and the selected variables; ``${__data.fields…}`` is a label of the row.
"""

from monitoring.parameters import Parameters

FLEET, SERVER, API = "console-fleet", "console-server", "console-api"
EXPORTER, SLO = "console-exporter", "console-slo"

_SELECTION = "${__url_time_range}&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}"


def to_server() -> str:
    """Return the link to the server of a row."""
    return f"/d/{SERVER}?{_SELECTION}&{_field('project')}&{_field('server')}&{_field('server_id')}"


def to_project(uid: str) -> str:
    """Return the link to a dashboard for the project of a row."""
    return f"/d/{uid}?{_SELECTION}&{_field('project')}"


def to_runbook(parameters: Parameters) -> str:
    """Return the link to the runbook of a row's alert."""
    return f"{parameters.runbooks_url}/${{__data.fields.alertname}}.md"


def _field(label: str) -> str:
    return f"var-{label}=${{__data.fields.{label}:percentencode}}"
