"""Build panels from queries, a visualization and a number format."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import (
    common,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DynamicConfigValue,
    FieldColor,
    FieldColorModeId,
    FieldConfig,
    FieldConfigSource,
    MatcherConfig,
    Panel,
    Threshold,
    ThresholdsConfig,
    ThresholdsMode,
    ValueMapping,
)
from grafana_foundation_sdk.models.prometheus import Dataquery, PromQueryFormat

from monitoring.dashboards.value_mappings import BLUE

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """A PromQL expression, the legend of its series and the texts for their values."""

    expression: str
    legend: str = "__auto"
    mappings: Sequence[ValueMapping] = ()


@dataclass(frozen=True, slots=True)
class Visualization:
    """A Grafana panel type with its options and field configuration."""

    kind: str
    options: object
    config: FieldConfig
    overrides: Sequence[DashboardFieldConfigSourceOverrides] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ValueFormat:
    """How values are shown: Grafana unit, color thresholds, value mappings, decimals, axis limits.

    ``base`` is the color below the first threshold of ``steps``. ``empty`` is shown if there is no
    value.
    """

    unit: str
    base: str = BLUE
    steps: Steps = ()
    mappings: Sequence[ValueMapping] = ()
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    empty: str | None = None

    def config(self, mode: FieldColorModeId, custom: object = None) -> FieldConfig:
        """Return the field configuration of Grafana."""
        return FieldConfig(
            unit=self.unit,
            decimals=self.decimals,
            min_val=self.low,
            max_val=self.high,
            mappings=list(self.mappings) or None,
            no_value=self.empty,
            color=FieldColor(mode=mode),
            custom=custom,
            thresholds=steps_of(self.base, self.steps),
        )


def steps_of(base: str, steps: Steps) -> ThresholdsConfig:
    """Return the color thresholds: ``base`` first, then each value with its color."""
    return ThresholdsConfig(
        mode=ThresholdsMode.ABSOLUTE,
        steps=[
            Threshold(value=None, color=base),
            *(Threshold(value=value, color=color) for value, color in steps),
        ],
    )


def panel_of(
    title: str, description: str, targets: Sequence[Dataquery], look: Visualization
) -> Panel:
    """Return a panel without a position, which `layout` sets."""
    return Panel(
        type_val=look.kind,
        title=title,
        description=description,
        datasource=DATASOURCE,
        targets=list(targets),
        options=look.options,
        field_config=FieldConfigSource(defaults=look.config, overrides=list(look.overrides)),
    )


def with_ref_ids(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    """Pair queries with the ref ids A, B, ..."""
    return [(chr(ord("A") + index), query) for index, query in enumerate(queries)]


def range_query(ref: str, query: Query) -> Dataquery:
    """Return a range query over the time range."""
    return Dataquery(
        ref_id=ref,
        expr=query.expression,
        legend_format=query.legend,
        datasource=DATASOURCE,
        range_val=True,
        instant=False,
        format_val=PromQueryFormat.TIME_SERIES,
    )


def instant(ref: str, query: Query) -> Dataquery:
    """Return an instant query at the end of the time range."""
    target = range_query(ref, query)
    target.range_val = False
    target.instant = True
    return target


def override(
    matcher: str, options: str, properties: dict[str, object]
) -> DashboardFieldConfigSourceOverrides:
    """Override properties of some fields; matcher and property names are ids of Grafana."""
    return DashboardFieldConfigSourceOverrides(
        matcher=MatcherConfig(id_val=matcher, options=options),
        properties=[
            DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()
        ],
    )
