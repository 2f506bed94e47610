"""Panels that show numbers of now."""

from grafana_foundation_sdk.models import bargauge, common, stat
from grafana_foundation_sdk.models.dashboard import FieldColorModeId, Panel

from monitoring.dashboards.panels import Figures, Look, Query, instant, panel_of


def figure(title: str, description: str, expression: str, figures: Figures) -> Panel:
    """Show one number of now, large."""
    return panel_of(
        title,
        description,
        [instant("A", Query(expression, title))],
        Look(
            "stat",
            stat.Options(
                color_mode=common.BigValueColorMode.BACKGROUND_SOLID
                if figures.words or figures.steps
                else common.BigValueColorMode.VALUE,
                graph_mode=common.BigValueGraphMode.NONE,
                text_mode=common.BigValueTextMode.VALUE,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            figures.config(FieldColorModeId.THRESHOLDS),
        ),
    )


def names(title: str, description: str, query: Query) -> Panel:
    """Show the names of series, such as versions."""
    return panel_of(
        title,
        description,
        [instant("A", query)],
        Look(
            "stat",
            stat.Options(
                color_mode=common.BigValueColorMode.NONE,
                graph_mode=common.BigValueGraphMode.NONE,
                text_mode=common.BigValueTextMode.NAME,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            Figures(unit="none").config(FieldColorModeId.THRESHOLDS),
        ),
    )


def bars(title: str, description: str, query: Query, figures: Figures) -> Panel:
    """Compare a few numbers of now."""
    return panel_of(
        title,
        description,
        [instant("A", query)],
        Look(
            "bargauge",
            bargauge.Options(
                display_mode=common.BarGaugeDisplayMode.BASIC,
                orientation=common.VizOrientation.HORIZONTAL,
                value_mode=common.BarGaugeValueMode.COLOR,
                reduce_options=common.ReduceDataOptions(calcs=["lastNotNull"]),
            ),
            figures.config(FieldColorModeId.THRESHOLDS),
        ),
    )
