"""The variables at the top of the dashboards."""

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
    """Choose what every dashboard is about: a Prometheus, and exporters that it scrapes."""
    return [datasource(), job(), instance()]


def datasource() -> VariableModel:
    """Choose the Prometheus to ask."""
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
    """Choose scrape jobs."""
    return _several(
        "job",
        "Job",
        "The scrape job of Prometheus.",
        f"label_values({catalog.BUILD_INFO.name}, job)",
    )


def instance() -> VariableModel:
    """Choose exporters."""
    return _several(
        "instance",
        "Instance",
        "The exporters. Recorded series count over all of them.",
        _values(catalog.BUILD_INFO, "instance", 'job=~"$job"'),
    )


def projects() -> VariableModel:
    """Choose projects."""
    return _several(
        "project",
        "Project",
        "The projects of the exporter's configuration.",
        _values(catalog.THROTTLE_CEILING, "project", *_EXPORTERS),
    )


def one_project() -> VariableModel:
    """Choose a single project: ids of servers are unique within one only."""
    return _one(
        "project",
        "Project",
        "The project of the server.",
        _values(catalog.THROTTLE_CEILING, "project", *_EXPORTERS),
    )


def servers() -> VariableModel:
    """Choose servers by name, as typed: a list of thousands would have to be asked for.

    It is not named ``server``, so that who comes back from one server sees the fleet again.
    """
    every = ".+"
    return _plain(
        VariableModel(
            type_val=VariableType.TEXTBOX,
            name="servers",
            label="Servers",
            description=(
                "A regular expression of names, such as db-.+; panels that count whole projects do"
                " not heed it."
            ),
            query=every,
            current=VariableOption(selected=True, text=every, value=every),
        )
    )


def one_server() -> tuple[VariableModel, VariableModel]:
    """Choose a single server: first its name, then its id, for names may be given twice."""
    return (
        _one(
            "server",
            "Server",
            "The name of the server. Its id follows from it, unless several have that name.",
            _values(catalog.SERVER_INFO, "server", *_EXPORTERS, 'project="$project"'),
        ),
        _one(
            "server_id",
            "Server id",
            "The server itself. More than one to choose from: they share the name.",
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
    """Find the servers that failed most often in a row, for panels that draw each of them."""
    failures = queries.select(catalog.PROBE_CONSECUTIVE_FAILURES)
    variable = _several(
        "broken",
        "Broken",
        f"The ids of the {limit} servers that failed most often in a row.",
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
    """Leave out what the library says of every variable and only those of time have."""
    variable.auto = variable.auto_min = variable.auto_count = None
    return variable
