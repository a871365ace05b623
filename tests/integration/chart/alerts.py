"""Faults as series, for the unit tests of promtool: each alert fires with its fault, and not without."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

SERVICE: Final = 'namespace="team", service="iris"'
_REPLICAS: Final = f"modelyard_service_replicas{{{SERVICE}}}"
_READY: Final = f"modelyard_service_ready_replicas{{{SERVICE}}}"
_MEMORY: Final = f"modelyard_scoring_memory_bytes{{{SERVICE}}}"
_LIMIT: Final = f"modelyard_scoring_memory_limit_bytes{{{SERVICE}}}"


class Fault(NamedTuple):
    """The series of a fault and of the state without it, in promtool's notation with one sample a minute.

    https://prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules/#series
    """

    fault: dict[str, str]
    healthy: dict[str, str]
    labels: dict[str, str]
    """The labels of the alert, without its severity."""


def _requests(code: int) -> str:
    return f'modelyard_scoring_requests_total{{{SERVICE}, code="{code}"}}'


def _failed(kind: str, code: str) -> str:
    return f'modelyard_object_failed{{kind="{kind}", namespace="team", name="iris", code="{code}"}}'


def _both(name: str, fault: str, healthy: str, **labels: str) -> Fault:
    return Fault({name: fault}, {name: healthy}, labels)


_IRIS: Final = {"namespace": "team", "service": "iris"}
FAULTS: Final = {
    "ModelyardOperatorDown": Fault({}, {'modelyard_operator_info{version="1"}': "1x120"}, {}),
    "ModelyardReconcileErrors": _both(
        'modelyard_reconcile_errors_total{kind="Image"}', "0+1x120", "0+0.1x120", kind="Image"
    ),
    "ModelyardQueueStuck": _both("modelyard_queue_oldest_seconds", "130x120", "0 90 0 90 0 90 0x114"),
    "ModelyardWatchSilent": _both(
        'modelyard_watch_silence_seconds{resource="pods"}', "310x120", "60x120", resource="pods"
    ),
    "ModelyardNamespaceSetAside": _both(
        'modelyard_namespaces_set_aside{namespace="team"}', "1x120", "0x120", namespace="team"
    ),
    "ModelyardChildContested": _both(
        'modelyard_repairs_total{resource="services"}', "0+1x120", "0+0.2x120", resource="services"
    ),
    "ModelyardRollsStopped": _both('modelyard_template_rolls{state="failed"}', "1x120", "0x120"),
    "ModelyardImageFailed": Fault(
        {_failed("Image", "SourceDenied"): "1x120"},
        {_failed("Model", "SourceDenied"): "1x120"},
        {"namespace": "team", "name": "iris", "code": "SourceDenied"},
    ),
    "ModelyardBuildsFailing": Fault(
        {'modelyard_build_failures_total{code="DiskFull", fault="platform"}': "0+1x120"},
        {'modelyard_build_failures_total{code="PipFailed", fault="user"}': "0+9x120"},
        {"code": "DiskFull", "fault": "platform"},
    ),
    "ModelyardBuildsWaiting": _both("modelyard_builds_waiting", "3x120", "3 0 3x8 0 3x8 0 3x8 0 3x8 0x80"),
    "ModelyardRegistryUnavailable": _both(
        'modelyard_registry_lookups_total{result="failed"}', "0+2x120", "0x120"
    ),
    "ModelyardServiceDown": Fault(
        {_REPLICAS: "2x120", _READY: "0x120"},
        {_REPLICAS: "0x120", _READY: "0x120"},
        _IRIS,
    ),
    "ModelyardServiceReplicasMissing": Fault(
        {_REPLICAS: "2x120", _READY: "1x120"},
        {_REPLICAS: "2x120", _READY: "2x120"},
        _IRIS,
    ),
    "ModelyardServiceFailed": Fault(
        {_failed("Service", "CrashLoop"): "1x120"},
        {_failed("Image", "CrashLoop"): "1x120"},
        {"namespace": "team", "name": "iris", "code": "CrashLoop"},
    ),
    "ModelyardServiceErrors": Fault(
        {_requests(200): "0+90x120", _requests(500): "0+10x120"},
        {_requests(200): "0+90x120", _requests(503): "0+10x120"},
        _IRIS,
    ),
    "ModelyardServiceOverloaded": Fault(
        {_requests(200): "0+90x120", _requests(503): "0+2x120"},
        {_requests(200): "0+0.1x120", _requests(503): "0+0.1x120"},
        _IRIS,
    ),
    "ModelyardWorkersRestarting": _both(
        f"modelyard_scoring_worker_restarts_total{{{SERVICE}}}", "0+1x120", "0 1x119", **_IRIS
    ),
    "ModelyardServiceMemoryHigh": Fault(
        {_MEMORY: "95x120", _LIMIT: "100x120"},
        {_MEMORY: "95x120"},
        _IRIS,
    ),
    "ModelyardServiceNotScraped": Fault(
        {_READY: "1x120"},
        {
            _READY: "1x120",
            f'modelyard_scoring_ready{{{SERVICE}, pod="iris-1"}}': "1x120",
        },
        _IRIS,
    ),
    "ModelyardCollectionDegraded": _both(
        f'modelyard_collection_degraded{{{SERVICE}, reason="StorageRefused"}}', "1x120", "0x120",
        **_IRIS, reason="StorageRefused",
    ),
    "ModelyardCollectionDropping": Fault(
        {f'modelyard_collection_records_total{{{SERVICE}, outcome="dropped"}}': "0+1x120"},
        {f'modelyard_collection_records_total{{{SERVICE}, outcome="collected"}}': "0+9x120"},
        _IRIS,
    ),
    "ModelyardGatewayDown": Fault({}, {'modelyard_gateway_info{version="1"}': "1x120"}, {}),
    "ModelyardScalerDown": Fault({}, {'modelyard_scaler_info{version="1"}': "1x120"}, {}),
    "ModelyardActivatorDown": Fault({}, {"modelyard_activator_held": "0x120"}, {}),
    "ModelyardWakesFailing": Fault(
        {
            'modelyard_activator_refused_total{reason="deadline"}': "0+1x120",
            "modelyard_activator_wake_failures_total": "0x120",
        },
        {
            'modelyard_activator_refused_total{reason="deadline"}': "0+0.1x120",
            'modelyard_activator_refused_total{reason="no_replicas"}': "0+90x120",
            "modelyard_activator_wake_failures_total": "0+0.1x120",
        },
        {},
    ),
    "ModelyardGatewayErrors": Fault(
        {
            'modelyard_gateway_requests_total{code="200"}': "0+90x120",
            'modelyard_gateway_requests_total{code="503"}': "0+10x120",
        },
        {
            'modelyard_gateway_requests_total{code="200"}': "0+90x120",
            'modelyard_gateway_requests_total{code="404"}': "0+10x120",
        },
        {},
    ),
}  # fmt: skip
"""By the name of the alert."""


def unit_tests(rules: dict[str, Any]) -> list[dict[str, Any]]:
    """Return promtool's tests: after an hour each alert fires with its fault, and never without."""
    found = []
    for name, fault in FAULTS.items():
        rule = next(each for group in rules["groups"] for each in group["rules"] if each["alert"] == name)
        for series, fires in ((fault.fault, True), (fault.healthy, False)):
            alert = {"exp_labels": rule["labels"] | fault.labels}
            found.append(
                {
                    "name": f"{name} {'with' if fires else 'without'} its fault",
                    "interval": "1m",
                    "input_series": [{"series": key, "values": values} for key, values in series.items()],
                    "alert_rule_test": [
                        {"eval_time": "1h", "alertname": name, "exp_alerts": [alert] if fires else []}
                    ],
                }
            )
    return found
