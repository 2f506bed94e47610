"""Write a dashboard as JSON, with the links and annotations that all dashboards share."""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import (
    AnnotationContainer,
    AnnotationQuery,
    Dashboard,
    DashboardCursorSync,
    DashboardDashboardTemplating,
    DashboardDashboardTime,
    DashboardLink,
    DashboardLinkType,
    TimePickerConfig,
    VariableModel,
)
from grafana_foundation_sdk.models.prometheus import Dataquery

from exporter.metrics import catalog
from monitoring.dashboards import queries
from monitoring.dashboards.layout import Row, placed
from monitoring.dashboards.panels import DATASOURCE
from monitoring.dashboards.value_mappings import BLUE, ORANGE, RED

TAG = "console-exporter"

# The version of Grafana 10.3; later ones migrate it. From 36 on data sources are references.
_SCHEMA_VERSION = 39
_STEP = "30s"


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardSpec:
    """The contents of a dashboard. ``since`` is the start of its time range, such as ``now-3h``."""

    uid: str
    title: str
    description: str
    since: str
    refresh: str
    variables: Sequence[VariableModel]
    rows: Sequence[Row]


def dashboard_json(sheet: DashboardSpec) -> str:
    """Return the JSON of a dashboard, keys sorted."""
    dashboard = Dashboard(
        uid=sheet.uid,
        title=sheet.title,
        description=sheet.description,
        tags=[TAG],
        schema_version=_SCHEMA_VERSION,
        version=1,
        # Changes in the browser would be lost with the next `make generate`.
        editable=False,
        graph_tooltip=DashboardCursorSync.CROSSHAIR,
        time=DashboardDashboardTime(from_val=sheet.since, to="now"),
        refresh=sheet.refresh,
        timepicker=TimePickerConfig(),
        links=[
            DashboardLink(
                title="Console",
                type_val=DashboardLinkType.DASHBOARDS,
                tags=[TAG],
                include_vars=True,
                keep_time=True,
                icon="external link",
                tooltip="Other dashboards of Console Exporter, same variables and time range",
            )
        ],
        templating=DashboardDashboardTemplating(list_val=list(sheet.variables)),
        annotations=AnnotationContainer(list_val=_annotations()),
        panels=placed(sheet.rows),
    )
    plain = json.loads(json.dumps(dashboard, cls=JSONEncoder))
    for each in (*plain["links"], *plain["annotations"]["list"]):
        # The library always sets this to hide them in a menu.
        del each["placement"]
    return json.dumps(plain, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _annotations() -> list[AnnotationQuery]:
    firing = f"count by (alertname, severity, project) ({queries.firing()})"
    loaded = f"{queries.select(catalog.CONFIG_RELOAD_SUCCESS_TIME)} * 1000"
    failed = f"{queries.select(catalog.CONFIG_RELOAD_SUCCESSFUL)} == 0"
    alerts = _annotation("Firing alerts", RED, firing, "{{severity}} {{project}}")
    alerts.title_format = "{{alertname}}"
    reloads = _annotation("Configuration loaded", BLUE, loaded, "by {{instance}}")
    reloads.use_value_for_time = True
    return [
        alerts,
        reloads,
        _annotation(
            "Configuration reload failed", ORANGE, failed, "{{instance}} keeps the previous one"
        ),
    ]


def _annotation(name: str, color: str, expression: str, text: str) -> AnnotationQuery:
    """Return an annotation of all graphs at the times at which a query has a result."""
    return AnnotationQuery(
        name=name,
        datasource=DATASOURCE,
        enable=True,
        hide=False,
        icon_color=color,
        expr=expression,
        step=_STEP,
        title_format=name,
        text_format=text,
        target=Dataquery(
            ref_id="Anno",
            expr=expression,
            interval=_STEP,
            datasource=DATASOURCE,
            range_val=True,
            instant=False,
        ),
    )
