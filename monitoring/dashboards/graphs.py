"""Panels that draw what happened over time."""

from collections.abc import Sequence
from dataclasses import replace

from grafana_foundation_sdk.models import common, heatmap, statetimeline, statushistory, timeseries
from grafana_foundation_sdk.models.dashboard import (
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    Panel,
)
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from monitoring.dashboards.panels import (
    Figures,
    Look,
    Query,
    lettered,
    override,
    panel_of,
    ranged,
)


def graph(title: str, description: str, figures: Figures, *queries: Query) -> Panel:
    """Draw lines over time, with the thresholds as dashes."""
    look = _lines(
        figures,
        timeseries.FieldConfig(
            line_width=1,
            fill_opacity=5,
            show_points=common.VisibilityMode.AUTO,
            thresholds_style=common.GraphThresholdsStyleConfig(
                mode=common.GraphThresholdsStyleMode.DASHED
                if figures.steps
                else common.GraphThresholdsStyleMode.OFF
            ),
        ),
    )
    return panel_of(title, description, _all(queries), look)


def exemplified(title: str, description: str, figures: Figures, *queries: Query) -> Panel:
    """Draw lines over time, and single requests as dots upon them."""
    panel = graph(title, description, figures, *queries)
    for target in panel.targets or ():
        if isinstance(target, Dataquery):
            target.exemplar = True
    return panel


def stacked(
    title: str,
    description: str,
    figures: Figures,
    *queries: Query,
    colors: dict[str, str] | None = None,
) -> Panel:
    """Draw parts of a whole over time; ``colors`` by the name of a series."""
    fixed = [
        override(
            "byName", name, {"color": FieldColor(mode=FieldColorModeId.FIXED, fixed_color=color)}
        )
        for name, color in (colors or {}).items()
    ]
    look = _lines(
        figures,
        timeseries.FieldConfig(
            line_width=0,
            fill_opacity=70,
            show_points=common.VisibilityMode.NEVER,
            stacking=_STACKED,
        ),
    )
    return panel_of(title, description, _all(queries), replace(look, overrides=fixed))


def counted(title: str, description: str, figures: Figures, *queries: Query) -> Panel:
    """Draw how often something happened, as bars."""
    look = _lines(
        figures,
        timeseries.FieldConfig(
            draw_style=common.GraphDrawStyle.BARS,
            line_width=0,
            fill_opacity=70,
            show_points=common.VisibilityMode.NEVER,
            stacking=_STACKED,
        ),
    )
    return panel_of(title, description, _all(queries), look)


def timeline(title: str, description: str, *queries: Query) -> Panel:
    """Draw states over time, a row for each series, in each query's own words."""
    return panel_of(
        title,
        description,
        _all(queries),
        Look(
            "state-timeline",
            statetimeline.Options(
                show_value=common.VisibilityMode.AUTO,
                align_value=common.TimelineValueAlignment.LEFT,
                legend=common.VizLegendOptions(
                    display_mode=common.LegendDisplayMode.LIST,
                    placement=common.LegendPlacement.BOTTOM,
                    show_legend=False,
                    calcs=[],
                ),
                tooltip=_TOOLTIP,
            ),
            Figures(unit="none").config(
                FieldColorModeId.THRESHOLDS, statetimeline.FieldConfig(fill_opacity=80)
            ),
            [
                override("byFrameRefID", ref, {"mappings": list(query.words)})
                for ref, query in lettered(queries)
            ],
        ),
    )


def statuses(title: str, description: str, query: Query) -> Panel:
    """Draw one square after the other for each series."""
    panel = panel_of(
        title,
        description,
        [ranged("A", query)],
        Look(
            "status-history",
            statushistory.Options(
                show_value=common.VisibilityMode.NEVER,
                legend=common.VizLegendOptions(
                    display_mode=common.LegendDisplayMode.LIST,
                    placement=common.LegendPlacement.BOTTOM,
                    show_legend=True,
                    calcs=[],
                ),
                tooltip=_TOOLTIP,
            ),
            Figures(unit="none", words=query.words).config(
                FieldColorModeId.THRESHOLDS, statushistory.FieldConfig(fill_opacity=80)
            ),
        ),
    )
    panel.max_data_points = 80
    return panel


def latency_map(title: str, description: str, buckets: str) -> Panel:
    """Draw a histogram over time; the darker, the more."""
    target = ranged("A", Query(buckets, "{{le}}"))
    target.format_val = PromQueryFormat.HEATMAP
    return panel_of(
        title,
        description,
        [target],
        Look(
            "heatmap",
            heatmap.Options(
                calculate=False,
                cell_gap=1,
                cell_values=heatmap.CellValues(unit="short", decimals=0),
                color=heatmap.HeatmapColorOptions(
                    mode=heatmap.HeatmapColorMode.SCHEME,
                    scheme="Blues",
                    fill="dark-blue",
                    scale=heatmap.HeatmapColorScale.EXPONENTIAL,
                    exponent=0.5,
                    steps=64,
                ),
                filter_values=heatmap.FilterValueRange(le=1e-9),
                rows_frame=heatmap.RowsHeatmapOptions(layout=common.HeatmapCellLayout.AUTO),
                show_value=common.VisibilityMode.NEVER,
                y_axis=heatmap.YAxisConfig(unit="s", axis_placement=common.AxisPlacement.LEFT),
                legend=heatmap.HeatmapLegend(show=True),
                tooltip=heatmap.HeatmapTooltip(
                    mode=common.TooltipDisplayMode.SINGLE, y_histogram=True, show_color_scale=False
                ),
                exemplars=heatmap.ExemplarConfig(color="rgba(255,0,255,0.7)"),
            ),
            FieldConfig(
                unit="s",
                custom=heatmap.FieldConfig(
                    scale_distribution=common.ScaleDistributionConfig(
                        type_val=common.ScaleDistribution.LINEAR
                    ),
                    hide_from=common.HideSeriesConfig(tooltip=False, legend=False, viz=False),
                ),
            ),
        ),
    )


_STACKED = common.StackingConfig(mode=common.StackingMode.NORMAL, group="A")
_TOOLTIP = common.VizTooltipOptions(
    mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING
)


def _all(queries: Sequence[Query]) -> list[Dataquery]:
    return [ranged(ref, query) for ref, query in lettered(queries)]


def _lines(figures: Figures, custom: timeseries.FieldConfig) -> Look:
    return Look(
        "timeseries",
        timeseries.Options(
            legend=common.VizLegendOptions(
                display_mode=common.LegendDisplayMode.TABLE,
                placement=common.LegendPlacement.RIGHT,
                show_legend=True,
                calcs=["lastNotNull", "max"],
            ),
            tooltip=_TOOLTIP,
        ),
        figures.config(FieldColorModeId.PALETTE_CLASSIC, custom),
    )
