"""All alerts: expression, severity and texts."""

from monitoring.cloud_alerts import api_alerts, certificate_alerts, login_alerts
from monitoring.console_alerts import budget_alerts, console_alerts
from monitoring.exporter_alerts import exporter_alerts, probing_alerts
from monitoring.parameters import Parameters
from monitoring.rule import Alert


def alerts(parameters: Parameters) -> tuple[Alert, ...]:
    """Return all alerts, those about the exporter first."""
    return (
        *exporter_alerts(parameters),
        *probing_alerts(parameters),
        *console_alerts(parameters),
        *api_alerts(parameters),
        *login_alerts(parameters),
        *certificate_alerts(parameters),
        *budget_alerts(parameters),
    )
