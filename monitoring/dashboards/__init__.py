"""Generate the Grafana dashboards.

Metric names come from the catalog and from the recording rules, so that a typo is an error.
"""

import warnings

with warnings.catch_warnings():
    # The library warns at import that the v2 schema is preferred; older Grafana versions cannot
    # read that.
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    import grafana_foundation_sdk.models.dashboard  # noqa: F401

from monitoring.dashboards import api, exporter, fleet, server, slo
from monitoring.dashboards.dashboard import dashboard_json
from monitoring.parameters import Parameters


def all_dashboards(parameters: Parameters) -> dict[str, str]:
    """Return the dashboard files: JSON by name."""
    return {
        f"{module.__name__.rpartition('.')[2]}.json": dashboard_json(module.dashboard(parameters))
        for module in (fleet, server, api, exporter, slo)
    }
