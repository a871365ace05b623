"""Builders of panels and variables. Each query goes to the data source that the reader chooses.

A fixed data source breaks the dashboards of everybody with another name of it. No query has a `job` label,
because it depends on the scrape configuration: https://github.com/cilium/cilium/issues/14931
"""

from __future__ import annotations

from typing import Final, TypeVar

from grafana_foundation_sdk.builders.common import (
    ReduceDataOptions,
    VizLegendOptions,
    VizTooltipOptions,
)
from grafana_foundation_sdk.builders.dashboard import (
    Dashboard,
    DashboardLink,
    DatasourceVariable,
    QueryVariable,
    ThresholdsConfig,
)
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.builders.stat import Panel as StatPanel
from grafana_foundation_sdk.builders.table import Panel as TablePanel
from grafana_foundation_sdk.builders.timeseries import Panel as TimeseriesPanel
from grafana_foundation_sdk.models.common import (
    BigValueGraphMode,
    LegendDisplayMode,
    LegendPlacement,
    SortOrder,
    TooltipDisplayMode,
    VisibilityMode,
)
from grafana_foundation_sdk.models.dashboard import (
    DashboardCursorSync,
    DashboardLinkType,
    DataSourceRef,
    DataTransformerConfig,
    Threshold,
    ThresholdsMode,
    VariableRefresh,
    VariableSort,
)
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

TAG: Final = "modelyard"
SOURCE: Final = DataSourceRef(type_val="prometheus", uid="${datasource}")
_REF_IDS: Final = "ABCDEFGH"
_COLUMNS: Final = 24  # of Grafana's grid

Panel = TypeVar("Panel", StatPanel, TablePanel, TimeseriesPanel)


def dashboard(uid: str, title: str, description: str) -> Dashboard:
    """Return a dashboard with the data source as its first variable, and links to the other ones."""
    links = DashboardLink("Modelyard").type(DashboardLinkType.DASHBOARDS).tags([TAG])
    return (
        Dashboard(title)
        .uid(uid)
        .description(description)
        .tags([TAG])
        .readonly()
        .tooltip(DashboardCursorSync.CROSSHAIR)
        .time("now-1h", "now")
        .refresh("1m")
        .timezone("browser")
        .link(links.as_dropdown(True).include_vars(True).keep_time(True))
        .with_variable(DatasourceVariable("datasource").label("Data source").type("prometheus"))
    )


def variable(name: str, query: str, *, many: bool = True) -> QueryVariable:
    """Return a variable with the values of a label; `many` offers several of them and all."""
    return (
        QueryVariable(name)
        .datasource(SOURCE)
        .query(query)
        .refresh(VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(VariableSort.NATURAL_ASC)
        .multi(many)
        .include_all(many)
        .all_value(".*" if many else "")
    )


def _common(panel: Panel, title: str, description: str, width: int, height: int) -> Panel:
    return panel.title(title).description(description).datasource(SOURCE).span(width).height(height)


def _query(number: int, expression: str, legend: str) -> Dataquery:
    return Dataquery().expr(expression).legend_format(legend).ref_id(_REF_IDS[number]).datasource(SOURCE)


def graph(
    title: str, description: str, unit: str, *queries: tuple[str, str], width: int = 8
) -> TimeseriesPanel:
    """Return a graph. A query is an expression and its legend, `unit` an id of Grafana such as `reqps`."""
    legend = (
        VizLegendOptions()
        .display_mode(LegendDisplayMode.LIST)
        .placement(LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    tooltip = VizTooltipOptions().mode(TooltipDisplayMode.MULTI).sort(SortOrder.DESCENDING)
    panel = _common(TimeseriesPanel(), title, description, width, 8)
    panel = panel.unit(unit).min(0).fill_opacity(10).show_points(VisibilityMode.NEVER)
    panel = panel.legend(legend).tooltip(tooltip)
    for number, (expression, text) in enumerate(queries):
        panel = panel.with_target(_query(number, expression, text))
    return panel


def number(
    title: str,
    description: str,
    unit: str,
    expression: str,
    *,
    red_above: float | None = None,
    width: int = 4,
) -> StatPanel:
    """Return a panel with one number, which is red above a limit."""
    steps = [Threshold(value=None, color="green" if red_above is not None else "text")]
    if red_above is not None:
        steps.append(Threshold(value=red_above, color="red"))
    thresholds = ThresholdsConfig().mode(ThresholdsMode.ABSOLUTE).steps(steps)
    panel = _common(StatPanel(), title, description, width, 4).unit(unit).graph_mode(BigValueGraphMode.AREA)
    return (
        panel.thresholds(thresholds)
        .reduce_options(ReduceDataOptions().calcs(["lastNotNull"]))
        .with_target(_query(0, expression, ""))
    )


def table(
    title: str, description: str, expression: str, *columns: str, value: str = "", width: int = 12
) -> TablePanel:
    """Return a table with labels as columns, and the value if `value` gives its heading."""
    names = {name: index for index, name in enumerate((*columns, "Value"))}
    options = {
        "includeByName": {name: True for name in names if value or name != "Value"},
        "indexByName": names,
        "renameByName": {"Value": value} if value else {},
    }
    return (
        _common(TablePanel(), title, description, width, 8)
        .with_target(_query(0, expression, "").instant().format(PromQueryFormat.TABLE))
        .with_transformation(DataTransformerConfig(id_val="organize", options=options))
    )
