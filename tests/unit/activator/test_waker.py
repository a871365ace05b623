"""The wake of a Service: a patch of its scale, at a bounded rate, and the causes of failures."""

from __future__ import annotations

from typing import Any

import pytest

from modelyard.activator.waker import Waker
from modelyard.api.endpoint_slices import ServiceKey
from modelyard.kube.errors import Conflict, Forbidden, KubeError, NotFound, Unavailable
from modelyard.rate_limit import RateLimit

SERVICE = ServiceKey("team", "m")


class Scales:
    """The scale of one Deployment."""

    def __init__(self, replicas: int, error: KubeError | None = None):
        self.replicas, self.error = replicas, error
        self.patches: list[dict[str, Any]] = []

    async def get(self, resource, namespace, name, subresource=None) -> dict[str, Any]:
        assert (resource.plural, namespace, name, subresource) == ("deployments", "team", "m", "scale")
        spec = {"replicas": self.replicas} if self.replicas else {}  # the API server omits 0
        return {"metadata": {"resourceVersion": "7"}, "spec": spec}

    async def patch(self, resource, namespace, name, patch, subresource=None) -> dict[str, Any]:
        if self.error:
            raise self.error
        self.patches.append(patch)
        self.replicas = patch["spec"]["replicas"]
        return {}


async def test_deployment_without_replicas_gets_one_with_a_precondition() -> None:
    scales = Scales(0)
    waker = Waker(scales, RateLimit(100))
    assert await waker.wake(SERVICE) == ""
    assert scales.patches == [{"metadata": {"resourceVersion": "7"}, "spec": {"replicas": 1}}]
    assert await waker.wake(SERVICE) == ""
    assert len(scales.patches) == 1


@pytest.mark.parametrize(
    ("error", "cause"),
    [
        (Conflict("changed", status=409), ""),
        (NotFound("gone", status=404), "the Deployment of the Service does not exist"),
        (Forbidden("no", status=403), "the API server answered 403"),
        (Unavailable("away"), "the API server answered nothing"),
    ],
)
async def test_failed_wake_has_a_cause(error: KubeError, cause: str) -> None:
    found = await Waker(Scales(0, error), RateLimit(100)).wake(SERVICE)
    assert cause in found
    assert bool(found) == bool(cause)
