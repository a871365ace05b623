"""The shared state of all routes: the kinds that the cluster serves, the Gateway and the claims."""

from __future__ import annotations

from dataclasses import dataclass, field

from modelyard.reconcile.routes.claims import RouteClaims
from modelyard.reconcile.routes.gateway import Gateway, Problem


@dataclass
class RoutingState:
    """The shared state of routing. Only code on the event loop may touch it."""

    problem: Problem | None = None  # why the operator can write no routes, such as kinds that are not served
    gateway: Gateway | None = None
    claims: RouteClaims = field(default_factory=RouteClaims)
