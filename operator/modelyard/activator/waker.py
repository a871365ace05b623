"""Scales the Deployments of Services from 0 to 1, each at most once at the same time, and at a bounded rate.

Anyone who reaches a Service can wake it: keys are checked by the replica. The rate bounds the number of pods
that requests to many Services start at once.
"""

from __future__ import annotations

import logging
from typing import Final, Protocol

from modelyard.activator import metrics
from modelyard.api.endpoint_slices import ServiceKey
from modelyard.kube.errors import Conflict, KubeError, NotFound
from modelyard.kube.types import DEPLOYMENTS, ApiResource, Json
from modelyard.rate_limit import RateLimit

_LOG: Final = logging.getLogger(__name__)
_SCALE: Final = "scale"


class ScaleClient(Protocol):
    """The calls of a Kubernetes client that scale a Deployment."""

    async def get(
        self, resource: ApiResource, namespace: str, name: str, subresource: str | None = None
    ) -> Json:
        """Return a subresource. Raises NotFound if there is none."""

    async def patch(
        self, resource: ApiResource, namespace: str, name: str, patch: Json, subresource: str | None = None
    ) -> Json:
        """Apply a JSON merge patch to a subresource. Raises Conflict if it has another resourceVersion."""


class Waker:
    """Scales Deployments from 0 to 1."""

    def __init__(self, client: ScaleClient, limit: RateLimit):
        self._client = client
        self._limit = limit

    async def wake(self, service: ServiceKey) -> str:
        """Scale a Deployment with 0 replicas to 1; return the cause if that is not possible, else no text.

        The resourceVersion protects a number that somebody else sets at the same time.
        """
        try:
            scale = await self._client.get(DEPLOYMENTS, *service, _SCALE)
            if scale.get("spec", {}).get("replicas", 0) > 0:
                return ""
            await self._limit.wait()
            patch = {
                "metadata": {"resourceVersion": scale["metadata"]["resourceVersion"]},
                "spec": {"replicas": 1},
            }
            await self._client.patch(DEPLOYMENTS, *service, patch, _SCALE)
        except Conflict:
            return ""  # the next attempt reads the number again
        except NotFound:
            metrics.WAKE_FAILURES.inc()
            return "the Deployment of the Service does not exist"
        except KubeError as error:
            metrics.WAKE_FAILURES.inc()
            _LOG.warning("%s/%s cannot be scaled to 1: %s", *service, error)
            return f"the Deployment cannot be scaled: the API server answered {error.status or 'nothing'}"
        metrics.COLD_STARTS.inc()
        _LOG.info("%s/%s: scaled from 0 to 1 for a request", *service)
        return ""
