"""The dashboard variables."""

from grafana_foundation_sdk.models.dashboard import (
    VariableHide,
    VariableModel,
    VariableOption,
    VariableRefresh,
    VariableSort,
    VariableType,
)

from exporter.metrics import catalog
from exporter.metrics.catalog import Metric
from monitoring.dashboards import queries
from monitoring.dashboards.panels import DATASOURCE

_ALL = "$__all"
_EXPORTERS = ('job=~"$job"', 'instance=~"$instance"')


def exporters() -> list[VariableModel]:
    """Return the variables of every dashboard: data source, job and instance."""
    return [datasource(), job(), instance()]


def datasource() -> VariableModel:
    """Select the Prometheus data source."""
    return _plain(
        VariableModel(
            type_val=VariableType.DATASOURCE,
            name="datasource",
            label="Data source",
            description="The Prometheus that scrapes the exporter.",
            query="prometheus",
            refresh=VariableRefresh.ON_DASHBOARD_LOAD,
            current=VariableOption(),
        )
    )


def job() -> VariableModel:
    """Select scrape jobs."""
    return _several(
        "job",
        "Job",
        "The scrape job of Prometheus.",
        f"label_values({catalog.BUILD_INFO.name}, job)",
    )


def instance() -> VariableModel:
    """Select exporters."""
    return _several(
        "instance",
        "Instance",
        "The exporters. Panels of recorded series ignore this: they aggregate all exporters.",
        _values(catalog.BUILD_INFO, "instance", 'job=~"$job"'),
    )


def projects() -> VariableModel:
    """Select projects."""
    return _several(
        "project",
        "Project",
        "The projects of the exporter's configuration.",
        _values(catalog.THROTTLE_CEILING, "project", *_EXPORTERS),
    )


def one_project() -> VariableModel:
    """Select a single project: server ids are unique within a project only."""
    return _one(
        "project",
        "Project",
        "The project of the server.",
        _values(catalog.THROTTLE_CEILING, "project", *_EXPORTERS),
    )


def servers() -> VariableModel:
    """Filter servers by name in a text box: a list would have thousands of entries.

    It is not named ``server``, so that a link back from the Server dashboard does not set it.
    """
    all_names = ".+"
    return _plain(
        VariableModel(
            type_val=VariableType.TEXTBOX,
            name="servers",
            label="Servers",
            description=(
                "A regular expression for server names, such as db-.+; panels of whole projects"
                " ignore it."
            ),
            query=all_names,
            current=VariableOption(selected=True, text=all_names, value=all_names),
        )
    )


def one_server() -> tuple[VariableModel, VariableModel]:
    """Select a single server by name, then by id, because names may not be unique."""
    return (
        _one(
            "server",
            "Server",
            "The name of the server. If several servers have this name, select one by its id.",
            _values(catalog.SERVER_INFO, "server", *_EXPORTERS, 'project="$project"'),
        ),
        _one(
            "server_id",
            "Server id",
            "The id of the server. Several ids are listed if several servers have the same name.",
            _values(
                catalog.SERVER_INFO,
                "server_id",
                *_EXPORTERS,
                'project="$project"',
                'server="$server"',
            ),
        ),
    )


def broken(limit: int) -> VariableModel:
    """Find the servers with the most consecutive failures, for panels with one series each."""
    failures = queries.select(catalog.PROBE_CONSECUTIVE_FAILURES)
    variable = _several(
        "broken",
        "Broken",
        f"The ids of the {limit} servers with the most consecutive failures.",
        f"query_result(topk({limit}, {failures} > 0))",
    )
    variable.hide = VariableHide.HIDE_VARIABLE
    variable.skip_url_sync = True
    variable.all_value = None
    variable.regex = '/server_id="([^"]+)"/'
    return variable


def _values(metric: Metric, label: str, *matchers: str) -> str:
    return f"label_values({queries.selector(metric.name, *matchers)}, {label})"


def _several(name: str, label: str, description: str, query: str) -> VariableModel:
    variable = _one(name, label, description, query)
    variable.multi = True
    variable.include_all = True
    variable.all_value = ".+"
    variable.current = VariableOption(selected=True, text=["All"], value=[_ALL])
    return variable


def _one(name: str, label: str, description: str, query: str) -> VariableModel:
    return _plain(
        VariableModel(
            type_val=VariableType.QUERY,
            name=name,
            label=label,
            description=description,
            datasource=DATASOURCE,
            query={"query": query, "refId": f"variable-{name}"},
            refresh=VariableRefresh.ON_TIME_RANGE_CHANGED,
            sort=VariableSort.ALPHABETICAL_ASC,
            current=VariableOption(),
        )
    )


def _plain(variable: VariableModel) -> VariableModel:
    """Unset fields that the library always writes but only interval variables have."""
    variable.auto = variable.auto_min = variable.auto_count = None
    return variable
