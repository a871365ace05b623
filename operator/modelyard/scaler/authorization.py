"""The right of a user to read the metric of pods, by the API server's RBAC."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from modelyard.contract.custom_metrics import GROUP, METRIC
from modelyard.kube.client import Client
from modelyard.kube.transport import JSON
from modelyard.kube.types import ACCESS_REVIEWS, Json
from modelyard.scaler.authentication import User

CACHE_SECONDS: Final = 10.0
"""Life of a decision, as in aggregated API servers of Kubernetes."""
_CACHE_ENTRIES: Final = 4096

ALL_NAMESPACES: Final = ""
"""The namespace of a SubjectAccessReview about all of them."""


class Authorization:
    """Asks the API server by SubjectAccessReviews, and remembers each decision for 10 s.

    A user that may read the metric in all namespaces takes one review in 10 s, for any number of Services.
    The HorizontalPodAutoscaler controller is such a user.
    """

    def __init__(self, client: Client, *, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._client = client
        self._monotonic = monotonic
        self._decisions: OrderedDict[tuple[User, str, str], tuple[float, bool]] = OrderedDict()

    async def allows(self, user: User, namespace: str, pod: str) -> bool:
        """Return whether the user may get the metric of a pod, or of all pods (`*`). Raises KubeError."""
        return await self._decide(user, ALL_NAMESPACES, "*") or await self._decide(user, namespace, pod)

    async def _decide(self, user: User, namespace: str, pod: str) -> bool:
        key = (user, namespace, pod)
        now = self._monotonic()
        decided_at, is_allowed = self._decisions.get(key, (float("-inf"), False))
        if now - decided_at < CACHE_SECONDS:
            return is_allowed
        is_allowed = await self._review(user, namespace, pod)
        self._decisions[key] = (now, is_allowed)
        self._decisions.move_to_end(key)
        if len(self._decisions) > _CACHE_ENTRIES:
            self._decisions.popitem(last=False)
        return is_allowed

    async def _review(self, user: User, namespace: str, pod: str) -> bool:
        attributes: Json = {
            "verb": "get",
            "group": GROUP,
            "version": "*",
            "resource": "pods",
            "subresource": METRIC,
            "namespace": namespace,
            "name": pod,
        }
        body = {**ACCESS_REVIEWS.header(), "spec": {**user.to_json(), "resourceAttributes": attributes}}
        review = await self._client.create(ACCESS_REVIEWS, None, body, accept=JSON)
        status = review.get("status") or {}
        return bool(status.get("allowed")) and not status.get("denied")
