"""Panels that show values over the time range."""

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
    Query,
    ValueFormat,
    Visualization,
    override,
    panel_of,
    range_query,
    with_ref_ids,
)


def graph(title: str, description: str, value_format: ValueFormat, *queries: Query) -> Panel:
    """Draw lines, and thresholds as dashed lines."""
    look = _lines(
        value_format,
        timeseries.FieldConfig(
            line_width=1,
            fill_opacity=5,
            show_points=common.VisibilityMode.AUTO,
            thresholds_style=common.GraphThresholdsStyleConfig(
                mode=common.GraphThresholdsStyleMode.DASHED
                if value_format.steps
                else common.GraphThresholdsStyleMode.OFF
            ),
        ),
    )
    return panel_of(title, description, _all(queries), look)


def with_exemplars(
    title: str, description: str, value_format: ValueFormat, *queries: Query
) -> Panel:
    """Draw lines, and exemplars (single requests) as dots."""
    panel = graph(title, description, value_format, *queries)
    for target in panel.targets or ():
        if isinstance(target, Dataquery):
            target.exemplar = True
    return panel


def stacked(
    title: str,
    description: str,
    value_format: ValueFormat,
    *queries: Query,
    colors: dict[str, str] | None = None,
) -> Panel:
    """Draw stacked areas; ``colors`` maps the names of series to colors."""
    fixed = [
        override(
            "byName", name, {"color": FieldColor(mode=FieldColorModeId.FIXED, fixed_color=color)}
        )
        for name, color in (colors or {}).items()
    ]
    look = _lines(
        value_format,
        timeseries.FieldConfig(
            line_width=0,
            fill_opacity=70,
            show_points=common.VisibilityMode.NEVER,
            stacking=_STACKED,
        ),
    )
    return panel_of(title, description, _all(queries), replace(look, overrides=fixed))


def bar_chart(title: str, description: str, value_format: ValueFormat, *queries: Query) -> Panel:
    """Draw counts as stacked bars."""
    look = _lines(
        value_format,
        timeseries.FieldConfig(
            draw_style=common.GraphDrawStyle.BARS,
            line_width=0,
            fill_opacity=70,
            show_points=common.VisibilityMode.NEVER,
            stacking=_STACKED,
        ),
    )
    return panel_of(title, description, _all(queries), look)


def state_timeline(title: str, description: str, *queries: Query) -> Panel:
    """Draw the states of each series over time; each query has its own value mappings."""
    return panel_of(
        title,
        description,
        _all(queries),
        Visualization(
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
            ValueFormat(unit="none").config(
                FieldColorModeId.THRESHOLDS, statetimeline.FieldConfig(fill_opacity=80)
            ),
            [
                override("byFrameRefID", ref, {"mappings": list(query.mappings)})
                for ref, query in with_ref_ids(queries)
            ],
        ),
    )


def status_history(title: str, description: str, query: Query) -> Panel:
    """Draw the states of each series at regular intervals, as colored cells."""
    panel = panel_of(
        title,
        description,
        [range_query("A", query)],
        Visualization(
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
            ValueFormat(unit="none", mappings=query.mappings).config(
                FieldColorModeId.THRESHOLDS, statushistory.FieldConfig(fill_opacity=80)
            ),
        ),
    )
    panel.max_data_points = 80
    return panel


def latency_heatmap(title: str, description: str, buckets: str) -> Panel:
    """Draw a histogram over time as a heatmap."""
    target = range_query("A", Query(buckets, "{{le}}"))
    target.format_val = PromQueryFormat.HEATMAP
    return panel_of(
        title,
        description,
        [target],
        Visualization(
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
    return [range_query(ref, query) for ref, query in with_ref_ids(queries)]


def _lines(value_format: ValueFormat, custom: timeseries.FieldConfig) -> Visualization:
    return Visualization(
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
        value_format.config(FieldColorModeId.PALETTE_CLASSIC, custom),
    )
