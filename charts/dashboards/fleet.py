"""Dashboard of all Services."""

from __future__ import annotations

from charts.dashboards.panels import dashboard, graph, number, table, variable
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

_RATE = "$__rate_interval"
_ALL = 'namespace=~"$namespace"'
_BY = "sum by (namespace, service)"
_REQUESTS = f"modelyard_scoring_requests_total{{{_ALL}}}"
_ERRORS = f'modelyard_scoring_requests_total{{{_ALL}, code=~"5.."}}'
_REPLICAS = f"modelyard_service_replicas{{{_ALL}}}"
_READY = f"modelyard_service_ready_replicas{{{_ALL}}}"
_LEGEND = "{{namespace}}/{{service}}"


def build() -> Dashboard:
    """Return the dashboard."""
    return (
        dashboard(
            "modelyard-fleet", "Modelyard / Fleet", "All Services: traffic, errors, capacity, failures."
        )
        .with_variable(variable("namespace", "label_values(modelyard_service_info, namespace)"))
        .with_row(Row("Now"))
        .with_panel(
            number("Services", "Services with a version.", "none", f"count(modelyard_service_info{{{_ALL}}})")
        )
        .with_panel(
            number(
                "Ready replicas",
                "Share of the replicas that are ready.",
                "percentunit",
                f"sum({_READY}) / sum({_REPLICAS})",
            )
        )
        .with_panel(
            number(
                "Failed objects",
                "Objects whose newest version failed. An older version may still serve.",
                "none",
                f"count(modelyard_object_failed{{{_ALL}}}) or vector(0)",
                red_above=1,
            )
        )
        .with_panel(number("Requests", "Of all Services.", "reqps", f"sum(rate({_REQUESTS}[{_RATE}]))"))
        .with_panel(
            number(
                "Errors",
                "Share of responses with status 5xx.",
                "percentunit",
                f"(sum(rate({_ERRORS}[{_RATE}])) or vector(0)) / sum(rate({_REQUESTS}[{_RATE}]))",
                red_above=0.05,
            )
        )
        .with_panel(
            number(
                "Alerts",
                "Firing alerts of the chart.",
                "none",
                'count(ALERTS{alertname=~"Modelyard.*", alertstate="firing"}) or vector(0)',
                red_above=1,
            )
        )
        .with_row(Row("Traffic"))
        .with_panel(
            graph(
                "Requests by namespace",
                "Scoring requests.",
                "reqps",
                (f"sum by (namespace) (rate({_REQUESTS}[{_RATE}]))", "{{namespace}}"),
            )
        )
        .with_panel(
            graph(
                "Errors of Services",
                "Share of responses with status 5xx. The ten Services with the largest one.",
                "percentunit",
                (f"topk(10, {_BY} (rate({_ERRORS}[{_RATE}])) / {_BY} (rate({_REQUESTS}[{_RATE}])))", _LEGEND),
            )
        )
        .with_panel(
            graph(
                "Latency (p99) of Services",
                "From a complete request to the end of its response. The ten slowest Services.",
                "s",
                (
                    "topk(10, histogram_quantile(0.99, sum by (namespace, service, le) "
                    f"(rate(modelyard_scoring_request_seconds_bucket{{{_ALL}}}[{_RATE}]))))",
                    _LEGEND,
                ),
            )
        )
        .with_row(Row("Capacity"))
        .with_panel(
            graph(
                "Busy",
                "Running requests by the requests that may run at once. The ten busiest Services.",
                "percentunit",
                (f"topk(10, avg by (namespace, service) (modelyard_scoring_busy{{{_ALL}}}))", _LEGEND),
            )
        )
        .with_panel(
            graph(
                "Memory",
                "Memory of the fullest replica by its limit. The kernel ends processes at 100 %. The ten "
                "fullest Services.",
                "percentunit",
                (
                    f"topk(10, max by (namespace, service) (modelyard_scoring_memory_bytes{{{_ALL}}} "
                    f"/ modelyard_scoring_memory_limit_bytes{{{_ALL}}}))",
                    _LEGEND,
                ),
            )
        )
        .with_panel(
            graph(
                "Replicas",
                "Replicas of all Services.",
                "none",
                (f"sum({_REPLICAS})", "desired"),
                (f"sum({_READY})", "ready"),
            )
        )
        .with_row(Row("Failures"))
        .with_panel(
            table(
                "Failed objects",
                "Objects whose newest version failed, with the code of the error.",
                f"modelyard_object_failed{{{_ALL}}}",
                "kind",
                "namespace",
                "name",
                "code",
            )
        )
        .with_panel(
            table(
                "Services with missing replicas",
                "Replicas that are not ready.",
                f"{_REPLICAS} - {_READY} > 0",
                "namespace",
                "service",
                value="missing",
            )
        )
    )
