"""Panels that show current values."""

from grafana_foundation_sdk.models import bargauge, common, stat
from grafana_foundation_sdk.models.dashboard import FieldColorModeId, Panel

from monitoring.dashboards.panels import Query, ValueFormat, Visualization, instant, panel_of


def stat_panel(title: str, description: str, expression: str, value_format: ValueFormat) -> Panel:
    """Show one current value in large type."""
    return panel_of(
        title,
        description,
        [instant("A", Query(expression, title))],
        Visualization(
            "stat",
            stat.Options(
                color_mode=common.BigValueColorMode.BACKGROUND_SOLID
                if value_format.mappings or value_format.steps
                else common.BigValueColorMode.VALUE,
                graph_mode=common.BigValueGraphMode.NONE,
                text_mode=common.BigValueTextMode.VALUE,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            value_format.config(FieldColorModeId.THRESHOLDS),
        ),
    )


def name_panel(title: str, description: str, query: Query) -> Panel:
    """Show the names of series, such as versions, instead of values."""
    return panel_of(
        title,
        description,
        [instant("A", query)],
        Visualization(
            "stat",
            stat.Options(
                color_mode=common.BigValueColorMode.NONE,
                graph_mode=common.BigValueGraphMode.NONE,
                text_mode=common.BigValueTextMode.NAME,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            ValueFormat(unit="none").config(FieldColorModeId.THRESHOLDS),
        ),
    )


def bars(title: str, description: str, query: Query, value_format: ValueFormat) -> Panel:
    """Compare a few current values as horizontal bars."""
    return panel_of(
        title,
        description,
        [instant("A", query)],
        Visualization(
            "bargauge",
            bargauge.Options(
                display_mode=common.BarGaugeDisplayMode.BASIC,
                orientation=common.VizOrientation.HORIZONTAL,
                value_mode=common.BarGaugeValueMode.COLOR,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            value_format.config(FieldColorModeId.THRESHOLDS),
        ),
    )
