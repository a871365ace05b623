"""The chart as `make install` has installed it: release modelyard in namespace modelyard-system."""

from __future__ import annotations

import json
from typing import Any, Final

import pytest
from tests.integration.chart.tools import CHART, runner

# The Services fail while these tests run; test_steady.py looks at them afterwards.
pytestmark = [pytest.mark.e2e, pytest.mark.usefixtures("failing")]

NAMESPACE: Final = ("--namespace", "modelyard-system")
helm = runner("helm")
kubectl = runner("kubectl")


def operator() -> dict[str, Any]:
    """The operator's pod."""
    selector = "app.kubernetes.io/name=modelyard,app.kubernetes.io/instance=modelyard"
    (pod,) = json.loads(kubectl("get", "pods", *NAMESPACE, "--selector", selector, "--output", "json"))[
        "items"
    ]
    return dict(pod)


def test_helm_test_passes() -> None:
    helm("test", "modelyard", *NAMESPACE, "--timeout", "2m")


def test_upgrade_with_the_same_values_restarts_nothing() -> None:
    before = operator()["metadata"]["uid"]
    helm("upgrade", "modelyard", CHART, *NAMESPACE, "--reset-then-reuse-values", "--wait")
    assert operator()["metadata"]["uid"] == before


def test_operator_runs_without_rights_on_its_node() -> None:
    status = kubectl("exec", "deployment/modelyard", *NAMESPACE, "--", "cat", "/proc/1/status")
    fields = dict(line.split(":", 1) for line in status.splitlines())
    assert fields["Uid"].split() == ["10001"] * 4
    assert int(fields["CapEff"], 16) == 0
    assert fields["NoNewPrivs"].strip() == "1"
    assert fields["Seccomp"].strip() == "2"


def test_metrics_are_served() -> None:
    url = "/api/v1/namespaces/modelyard-system/services/modelyard:metrics/proxy/metrics"
    assert "\nmodelyard_" in kubectl("get", "--raw", url)


def test_operator_has_all_the_rights_it_uses() -> None:
    log = kubectl("logs", "deployment/modelyard", *NAMESPACE, "--tail=-1")
    # RBAC refuses with a User. Writes into a namespace that is being deleted are forbidden, too.
    assert [line for line in log.splitlines() if "forbidden: user" in line.lower()] == []
