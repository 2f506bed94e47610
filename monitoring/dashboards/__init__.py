"""The Grafana dashboards, as code.

Metric names come from the catalog and from the recording rules, so that a typo cannot pass.
"""

import warnings

with warnings.catch_warnings():
    # The library would rather write the second version of the format, which older Grafanas cannot
    # read, and says so at its first import.
    warnings.filterwarnings("ignore", "Prefer using dashboardv2", DeprecationWarning)
    import grafana_foundation_sdk.models.dashboard  # noqa: F401

from monitoring.dashboards import api, exporter, fleet, server, slo
from monitoring.dashboards.dashboard import written
from monitoring.parameters import Parameters


def all_dashboards(parameters: Parameters) -> dict[str, str]:
    """Return the files of all dashboards: name and JSON."""
    return {
        f"{module.__name__.rpartition('.')[2]}.json": written(module.sheet(parameters))
        for module in (fleet, server, api, exporter, slo)
    }
