"""Dashboard of builds, operator, gateway and scaler."""

from __future__ import annotations

from charts.dashboards.panels import dashboard, graph, number
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

_RATE = "$__rate_interval"


def build() -> Dashboard:
    """Return the dashboard."""
    board = dashboard(
        "modelyard-platform",
        "Modelyard / Builds and operator",
        "Builds by result and time, the operator's queue and watches, the gateway and the scaler.",
    )
    return _scaler(_gateway(_process(_operator(_builds(board)))))


def _quantile(share: float, metric: str, by: str, window: str = _RATE) -> str:
    return f"histogram_quantile({share}, sum by ({by}, le) (rate({metric}_bucket[{window}])))"


def _builds(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Builds"))
        .with_panel(
            number("Running", "Builds whose Job has not ended.", "none", "sum(modelyard_builds_running)")
        )
        .with_panel(
            number(
                "Waiting",
                "Builds that wait for a free slot (chart value build.concurrent).",
                "none",
                "sum(modelyard_builds_waiting)",
            )
        )
        .with_panel(
            number(
                "Failed Images",
                "Images whose newest version failed.",
                "none",
                'sum(modelyard_objects{kind="Image", state="Failed"})',
                red_above=1,
            )
        )
        .with_panel(
            graph(
                "Builds by result",
                "Builds that ended in 5 minutes. An image that the registry has already is reused.",
                "none",
                ("sum by (result) (increase(modelyard_builds_total[5m]))", "{{result}}"),
                width=12,
            )
        )
        .with_panel(
            graph(
                "Time of a build",
                "From the creation of the Job to its result, within one hour.",
                "s",
                (_quantile(0.5, "modelyard_build_seconds", "result", "1h"), "{{result}}, p50"),
                (_quantile(0.95, "modelyard_build_seconds", "result", "1h"), "{{result}}, p95"),
                width=6,
            )
        )
        .with_panel(
            graph(
                "Time to the first answer",
                "From the change that makes a version of a Service to the first answer, within one hour.",
                "s",
                (_quantile(0.5, "modelyard_first_answer_seconds", "change", "1h"), "{{change}}, p50"),
                (_quantile(0.95, "modelyard_first_answer_seconds", "change", "1h"), "{{change}}, p95"),
                width=6,
            )
        )
        .with_panel(
            graph(
                "Failed attempts by code",
                "In 15 minutes, with the party that can correct the cause.",
                "none",
                (
                    "sum by (code, fault) (increase(modelyard_build_failures_total[15m])) > 0",
                    "{{code}} ({{fault}})",
                ),
                width=6,
            )
        )
        .with_panel(
            graph(
                "Lookups in registries",
                "A lookup is paused while the circuit breaker of its registry is open.",
                "reqps",
                (f"sum by (result) (rate(modelyard_registry_lookups_total[{_RATE}]))", "{{result}}"),
                width=6,
            )
        )
    )


def _operator(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Operator"))
        .with_panel(
            graph(
                "Objects by state",
                "Of all kinds.",
                "none",
                ("sum by (kind, state) (modelyard_objects) > 0", "{{kind}} {{state}}"),
            )
        )
        .with_panel(
            graph(
                "Age of the queue",
                "Time that the first object of the queue has waited for a worker.",
                "s",
                ("max(modelyard_queue_oldest_seconds)", "oldest"),
            )
        )
        .with_panel(
            graph(
                "Depth of the queue",
                "Objects that wait for a worker.",
                "none",
                ("sum(modelyard_queue_depth)", "objects"),
            )
        )
        .with_panel(
            graph(
                "Time of a reconcile (p99)",
                "By kind.",
                "s",
                (_quantile(0.99, "modelyard_reconcile_seconds", "kind"), "{{kind}}"),
            )
        )
        .with_panel(
            graph(
                "Retries and errors of reconciles",
                "An error is a defect or a failing API server; a retry is expected, such as a conflict.",
                "ops",
                (
                    f"sum by (kind) (rate(modelyard_reconcile_errors_total[{_RATE}])) or vector(0)",
                    "errors {{kind}}",
                ),
                (f"sum by (kind) (rate(modelyard_reconcile_retries_total[{_RATE}]))", "retries {{kind}}"),
            )
        )
        .with_panel(
            graph(
                "Silence of watches",
                "Time since the last event or bookmark. A bookmark comes each minute.",
                "s",
                ("max by (resource) (modelyard_watch_silence_seconds)", "{{resource}}"),
            )
        )
        .with_panel(
            graph(
                "Writes to the API server",
                "None while nothing changes.",
                "reqps",
                (
                    f"sum by (verb, resource) (rate(modelyard_api_writes_total[{_RATE}]))",
                    "{{verb}} {{resource}}",
                ),
            )
        )
        .with_panel(
            graph(
                "Repairs",
                "Reverted changes of children by other clients, in 15 minutes.",
                "none",
                ("sum by (resource) (increase(modelyard_repairs_total[15m]))", "{{resource}}"),
            )
        )
        .with_panel(
            graph(
                "Rolls of the pod template",
                "Services that get the template of a new release without a new version.",
                "none",
                ("sum by (state) (modelyard_template_rolls)", "{{state}}"),
            )
        )
    )


def _process(board: Dashboard) -> Dashboard:
    operator = "* on (instance) group_left () modelyard_operator_info"
    return (
        board.with_row(Row("Process of the operator"))
        .with_panel(
            graph(
                "Memory",
                "Resident memory.",
                "bytes",
                (f"process_resident_memory_bytes {operator}", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "CPU", "Cores.", "none", (f"rate(process_cpu_seconds_total[{_RATE}]) {operator}", "{{pod}}")
            )
        )
        .with_panel(
            graph(
                "Namespaces set aside",
                "Namespaces that the operator may not watch.",
                "none",
                ("sum(modelyard_namespaces_set_aside) or vector(0)", "namespaces"),
            )
        )
    )


def _gateway(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Gateway"))
        .with_panel(
            graph(
                "Requests by status",
                "Of the REST API of 2017.",
                "reqps",
                (f"sum by (code) (rate(modelyard_gateway_requests_total[{_RATE}]))", "{{code}}"),
            )
        )
        .with_panel(
            graph(
                "Latency (p99)",
                "By method. A POST waits for the operator.",
                "s",
                (_quantile(0.99, "modelyard_gateway_request_seconds", "method"), "{{method}}"),
            )
        )
        .with_panel(
            graph(
                "Requests by route",
                "The ten busiest routes.",
                "reqps",
                (
                    f"topk(10, sum by (method, route) (rate(modelyard_gateway_requests_total[{_RATE}])))",
                    "{{method}} {{route}}",
                ),
            )
        )
    )


def _scaler(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Scaler"))
        .with_panel(
            graph(
                "Replicas",
                "Replicas that are asked for their load, by pod of the scaler.",
                "none",
                ("modelyard_scaler_replicas", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "Requests for the load",
                "A replica that fails is asked again, less often.",
                "reqps",
                (f"sum by (result) (rate(modelyard_scaler_load_requests_total[{_RATE}]))", "{{result}}"),
            )
        )
        .with_panel(
            graph(
                "Oldest figure",
                "Autoscalers do not use figures that are older than 15 seconds, or three refresh periods.",
                "s",
                ("modelyard_scaler_oldest_figure_seconds", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "Requests of the API server",
                "To the custom metrics API, by status.",
                "reqps",
                (f"sum by (code) (rate(modelyard_scaler_api_requests_total[{_RATE}]))", "{{code}}"),
            )
        )
    )
