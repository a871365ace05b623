"""Dashboard of one Service with its versions."""

from __future__ import annotations

from charts.dashboards.panels import dashboard, graph, number, table, variable
from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

_RATE = "$__rate_interval"
_ONE = 'namespace="$namespace", service="$service"'
_VERSIONS = f'{_ONE}, version=~"$version"'
_REQUESTS = f"modelyard_scoring_requests_total{{{_VERSIONS}}}"
_ERRORS = f'modelyard_scoring_requests_total{{{_VERSIONS}, code=~"5.."}}'
_SECONDS = "modelyard_scoring_request_seconds"
_VERSION = "version {{version}}"


def _rate(metric: str, by: str) -> str:
    return f"sum by ({by}) (rate({metric}[{_RATE}]))"


def _quantile(share: float, metric: str, *by: str) -> str:
    labels = ", ".join([*by, "le"])
    return f"histogram_quantile({share}, sum by ({labels}) (rate({metric}_bucket{{{_VERSIONS}}}[{_RATE}])))"


def build() -> Dashboard:
    """Return the dashboard."""
    services = 'label_values(modelyard_service_info{namespace="$namespace"}, service)'
    board = (
        dashboard(
            "modelyard-service",
            "Modelyard / Service",
            "One Service: traffic, errors and latency of its versions, and the load of its replicas.",
        )
        .with_variable(variable("namespace", "label_values(modelyard_service_info, namespace)", many=False))
        .with_variable(variable("service", services, many=False))
        .with_variable(variable("version", f"label_values(modelyard_scoring_ready{{{_ONE}}}, version)"))
    )
    return _load(_traffic(_now(board)))


def _now(board: Dashboard) -> Dashboard:
    failing = f"(sum(rate({_ERRORS}[{_RATE}])) or vector(0)) / sum(rate({_REQUESTS}[{_RATE}]))"
    missing = f"sum(modelyard_service_replicas{{{_ONE}}} - modelyard_service_ready_replicas{{{_ONE}}})"
    return (
        board.with_row(Row("Now"))
        .with_panel(
            number(
                "Missing replicas",
                "Replicas that are not ready.",
                "none",
                missing,
                red_above=1,
            )
        )
        .with_panel(number("Requests", "Scoring requests.", "reqps", f"sum(rate({_REQUESTS}[{_RATE}]))"))
        .with_panel(
            number("Errors", "Share of responses with status 5xx.", "percentunit", failing, red_above=0.05)
        )
        .with_panel(
            number(
                "Latency (p99)",
                "From a complete request to the end of its response.",
                "s",
                _quantile(0.99, _SECONDS),
            )
        )
        .with_panel(
            table(
                "Pods by version",
                "Pods by the version that started them and by their image. A version that changes only "
                "replicas starts none.",
                f"count by (version, image) (modelyard_scoring_ready{{{_ONE}}})",
                "version",
                "image",
                value="pods",
                width=8,
            )
        )
    )


def _traffic(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Versions"))
        .with_panel(
            graph(
                "Requests by version",
                "Scoring requests.",
                "reqps",
                (_rate(_REQUESTS, "version"), _VERSION),
            )
        )
        .with_panel(
            graph(
                "Errors by version",
                "Share of responses with status 5xx.",
                "percentunit",
                (f"{_rate(_ERRORS, 'version')} / {_rate(_REQUESTS, 'version')}", _VERSION),
            )
        )
        .with_panel(
            graph(
                "Latency by version",
                "From a complete request to the end of its response.",
                "s",
                (_quantile(0.5, _SECONDS, "version"), f"{_VERSION}, p50"),
                (_quantile(0.99, _SECONDS, "version"), f"{_VERSION}, p99"),
            )
        )
        .with_panel(
            graph(
                "Responses by status",
                "499: the client left. 503: the queue is full, or the request waited too long in it.",
                "reqps",
                (_rate(_REQUESTS, "code"), "{{code}}"),
            )
        )
        .with_panel(
            graph(
                "Time in run()",
                "Mean of one call.",
                "s",
                (
                    f"sum by (version) (rate(modelyard_scoring_run_seconds_total{{{_VERSIONS}}}[{_RATE}])) / "
                    f"sum by (version) (rate({_SECONDS}_count{{{_VERSIONS}}}[{_RATE}]))",
                    _VERSION,
                ),
            )
        )
        .with_panel(
            graph(
                "Wait before run() (p99)",
                "From a complete request to the start of run(). It grows before requests are refused.",
                "s",
                (_quantile(0.99, "modelyard_scoring_wait_seconds", "version"), _VERSION),
            )
        )
    )


def _load(board: Dashboard) -> Dashboard:
    return (
        board.with_row(Row("Replicas"))
        .with_panel(
            graph(
                "Replicas",
                "Replicas of the Service, and those that are ready.",
                "none",
                (f"sum(modelyard_service_replicas{{{_ONE}}})", "desired"),
                (f"sum(modelyard_service_ready_replicas{{{_ONE}}})", "ready"),
            )
        )
        .with_panel(
            graph(
                "Busy",
                "Running requests by the requests that may run at once.",
                "percentunit",
                (f"modelyard_scoring_busy{{{_VERSIONS}}}", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "Waiting requests",
                "Requests in the queue of each replica.",
                "none",
                (f"modelyard_scoring_waiting{{{_VERSIONS}}}", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "Memory",
                "Memory of the container without cached files. The kernel ends processes at the limit.",
                "bytes",
                (f"modelyard_scoring_memory_bytes{{{_VERSIONS}}}", "{{pod}}"),
                (f"min(modelyard_scoring_memory_limit_bytes{{{_VERSIONS}}})", "limit"),
            )
        )
        .with_panel(
            graph(
                "Restarts of workers",
                "Worker processes that crashed or were killed, in 5 minutes.",
                "none",
                (f"increase(modelyard_scoring_worker_restarts_total{{{_VERSIONS}}}[5m])", "{{pod}}"),
            )
        )
        .with_panel(
            graph(
                "Collected records",
                "Records of data collection by their outcome. Dropped records are lost.",
                "ops",
                (
                    f"{_rate(f'modelyard_collection_records_total{{{_VERSIONS}}}', 'outcome')} or vector(0)",
                    "{{outcome}}",
                ),
            )
        )
        .with_panel(
            graph(
                "Streams",
                "Streamed results by their end.",
                "ops",
                (
                    f"{_rate(f'modelyard_scoring_streams_total{{{_VERSIONS}}}', 'end')} or vector(0)",
                    "{{end}}",
                ),
            )
        )
    )
