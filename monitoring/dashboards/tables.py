"""Table panels: instant queries joined by their common labels."""

from collections.abc import Sequence
from dataclasses import dataclass

from grafana_foundation_sdk.models import common, table
from grafana_foundation_sdk.models.dashboard import (
    DashboardFieldConfigSourceOverrides,
    DataTransformerConfig,
    FieldColorModeId,
    Panel,
    ThresholdsConfig,
    ValueMapping,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from monitoring.dashboards.panels import (
    Query,
    Steps,
    ValueFormat,
    Visualization,
    instant,
    override,
    panel_of,
    steps_of,
    with_ref_ids,
)
from monitoring.dashboards.value_mappings import GREY

_NOTHING = "-"


@dataclass(frozen=True, slots=True, kw_only=True)
class Label:
    """A column of text: the values of a label."""

    label: str
    title: str
    mappings: Sequence[ValueMapping] = ()
    link: str = ""
    link_title: str = ""
    width: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Number:
    """A column of numbers: the values of a query."""

    expression: str
    title: str
    unit: str
    base: str = GREY
    steps: Steps = ()
    mappings: Sequence[ValueMapping] = ()
    decimals: int | None = None
    empty: str = _NOTHING
    width: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """How rows are sorted, and the text of an empty table."""

    by: str
    descending: bool = True
    empty: str = "none"


def table_of(
    title: str,
    description: str,
    labels: Sequence[Label],
    numbers: Sequence[Number],
    rows: Rows,
) -> Panel:
    """Show a row for each set of labels.

    Rows are joined by their common labels: all queries must return the same labels, or the first
    query must return all of them.
    """
    queries = with_ref_ids([Query(number.expression) for number in numbers])
    targets = [instant(ref, query) for ref, query in queries]
    for target in targets:
        target.format_val = PromQueryFormat.TABLE
    # If only one query has a result, Grafana names its value without the ref id.
    values = ["Value", *(f"Value #{ref}" for ref, _ in queries)]
    columns = [*(each.label for each in labels), *values]
    titles = [*(each.title for each in labels), *(each.title for each in (numbers[0], *numbers))]
    panel = panel_of(
        title,
        description,
        targets,
        Visualization(
            "table",
            _options(common.TableSortByFieldState(display_name=rows.by, desc=rows.descending)),
            ValueFormat(unit="none", base=GREY, empty=rows.empty).config(
                FieldColorModeId.THRESHOLDS,
                _cells(common.FieldTextAlignment.AUTO),
            ),
            [*(_label(each) for each in labels), *(_number(each) for each in numbers)],
        ),
    )
    panel.transformations = [
        DataTransformerConfig(id_val="merge", options={}),
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": {"Time": True},
                "indexByName": {name: index for index, name in enumerate(columns)},
                "renameByName": dict(zip(columns, titles, strict=True)),
            },
        ),
    ]
    return panel


def attributes(title: str, description: str, expression: str, hidden: Sequence[str]) -> Panel:
    """Show the labels of a few series, except the hidden ones."""
    target = instant("A", Query(expression))
    target.format_val = PromQueryFormat.TABLE
    panel = panel_of(
        title,
        description,
        [target],
        Visualization(
            "table",
            _options(),
            ValueFormat(unit="none", base=GREY, empty="no such server").config(
                FieldColorModeId.THRESHOLDS, _cells(common.FieldTextAlignment.LEFT)
            ),
        ),
    )
    panel.transformations = [
        DataTransformerConfig(
            id_val="organize",
            options={
                "excludeByName": dict.fromkeys(("Time", "Value", "__name__", *hidden), True),
                "indexByName": {},
                "renameByName": {},
            },
        )
    ]
    return panel


def _options(*sort_by: common.TableSortByFieldState) -> table.Options:
    options = table.Options(sort_by=list(sort_by))
    # Grafana 13 removed it.
    options.footer = None
    return options


def _cells(align: common.FieldTextAlignment) -> table.FieldConfig:
    return table.FieldConfig(align=align, cell_options=common.TableAutoCellOptions())


def _label(column: Label) -> DashboardFieldConfigSourceOverrides:
    properties: dict[str, object] = {"noValue": _NOTHING}
    if column.mappings:
        properties["mappings"] = list(column.mappings)
        properties["custom.cellOptions"] = common.TableColorTextCellOptions()
    if column.link:
        properties["links"] = [{"title": column.link_title, "url": column.link}]
    if column.width:
        properties["custom.width"] = column.width
    return override("byName", column.title, properties)


def _number(column: Number) -> DashboardFieldConfigSourceOverrides:
    properties: dict[str, object] = {"unit": column.unit, "noValue": column.empty}
    if column.decimals is not None:
        properties["decimals"] = column.decimals
    if column.mappings:
        properties["mappings"] = list(column.mappings)
    if column.steps:
        steps: ThresholdsConfig = steps_of(column.base, column.steps)
        properties["thresholds"] = steps
    if column.steps or column.mappings:
        properties["custom.cellOptions"] = common.TableColoredBackgroundCellOptions(
            mode=common.TableCellBackgroundDisplayMode.BASIC
        )
    if column.width:
        properties["custom.width"] = column.width
    return override("byName", column.title, properties)
