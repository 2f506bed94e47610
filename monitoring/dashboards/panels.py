"""What every panel is made of: queries, a unit with its colours and words, a description."""

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

from monitoring.dashboards.words import BLUE

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

Steps = tuple[tuple[float, str], ...]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL and what its series are called."""

    expression: str
    legend: str = "__auto"
    words: Sequence[ValueMapping] = ()


@dataclass(frozen=True, slots=True)
class Look:
    """How a panel of one of Grafana's kinds is drawn."""

    kind: str
    options: object
    config: FieldConfig
    overrides: Sequence[DashboardFieldConfigSourceOverrides] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Figures:
    """How numbers are shown: a unit of Grafana's, and the colours that begin at some values.

    Below the first step numbers have the colour ``base``.
    """

    unit: str
    base: str = BLUE
    steps: Steps = ()
    words: Sequence[ValueMapping] = ()
    decimals: int | None = None
    low: float | None = None
    high: float | None = None
    empty: str | None = None

    def config(self, mode: FieldColorModeId, custom: object = None) -> FieldConfig:
        """Return these as Grafana's own."""
        return FieldConfig(
            unit=self.unit,
            decimals=self.decimals,
            min_val=self.low,
            max_val=self.high,
            mappings=list(self.words) or None,
            no_value=self.empty,
            color=FieldColor(mode=mode),
            custom=custom,
            thresholds=steps_of(self.base, self.steps),
        )


def steps_of(base: str, steps: Steps) -> ThresholdsConfig:
    """Return colours that begin at some values, above ``base``."""
    return ThresholdsConfig(
        mode=ThresholdsMode.ABSOLUTE,
        steps=[
            Threshold(value=None, color=base),
            *(Threshold(value=value, color=color) for value, color in steps),
        ],
    )


def panel_of(title: str, description: str, targets: Sequence[Dataquery], look: Look) -> Panel:
    """Make a panel; `layout` gives it its place."""
    return Panel(
        type_val=look.kind,
        title=title,
        description=description,
        datasource=DATASOURCE,
        targets=list(targets),
        options=look.options,
        field_config=FieldConfigSource(defaults=look.config, overrides=list(look.overrides)),
    )


def lettered(queries: Sequence[Query]) -> list[tuple[str, Query]]:
    """Name queries A, B, ..."""
    return [(chr(ord("A") + index), query) for index, query in enumerate(queries)]


def ranged(ref: str, query: Query) -> Dataquery:
    """Ask over the time shown."""
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
    """Ask at the end of the time shown."""
    target = ranged(ref, query)
    target.range_val = False
    target.instant = True
    return target


def override(
    matcher: str, options: str, properties: dict[str, object]
) -> DashboardFieldConfigSourceOverrides:
    """Show some series otherwise; ``matcher`` and the keys of ``properties`` are Grafana's ids."""
    return DashboardFieldConfigSourceOverrides(
        matcher=MatcherConfig(id_val=matcher, options=options),
        properties=[
            DynamicConfigValue(id_val=name, value=value) for name, value in properties.items()
        ],
    )
