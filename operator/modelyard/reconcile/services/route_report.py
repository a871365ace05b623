"""Report on the route of a Service: its public URL, and the condition RouteReady."""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.api.route import Route
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import HTTP_ROUTES, INGRESSES, SECRETS, ApiResource
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Condition
from modelyard.reconcile.routes.gateway import CERTIFICATE_MISSING, Problem
from modelyard.reconcile.routes.route_status import RouteStatus
from modelyard.reconcile.services.route import RouteAddress
from modelyard.resources import routing
from modelyard.resources.routing import Address, AddressProblem, route_resource

ROUTE_READY: Final = "RouteReady"
"""Condition of a Service: the data plane serves its public address."""

PENDING: Final = "RoutePending"
"""Reason of RouteReady while the data plane has yet to report."""

_BACKEND_NOT_FOUND: Final = "BackendNotFound"  # RouteReasonBackendNotFound of the Gateway API
_CERTIFICATE_RECHECK_SECONDS: Final = 30.0  # the operator watches no Secrets of other owners


class RouteReport(NamedTuple):
    """State of the public address of a Service."""

    url: str | None = None
    condition: Condition | None = None  # None for a Service without a route
    is_wanted: bool = True  # False: Ready does not depend on the route
    needs_user: bool = False  # a user must change the Service
    requeue_after: float | None = None  # seconds

    @property
    def is_missing(self) -> bool:
        """True if the Service should have a public address that does not serve."""
        return self.is_wanted and self.condition is not None and not self.condition[0]

    @property
    def is_pending(self) -> bool:
        """True if the data plane has yet to report."""
        return self.condition is not None and self.condition[1] == PENDING

    @property
    def conditions(self) -> dict[str, Condition]:
        """The condition by its type, empty for a Service without a route."""
        return {ROUTE_READY: self.condition} if self.condition else {}


async def route_report(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, address: RouteAddress
) -> RouteReport:
    """Return the state of the public address of a Service."""
    resource = route_resource(ctx.settings.routing)
    if resource is None:
        return _not_offered(spec.public_route)
    if address is None:
        return RouteReport()
    if isinstance(address, AddressProblem):
        return RouteReport(condition=(False, *address), needs_user=True)
    problem, wait = ctx.routing.problem or _problem(ctx, obj, address, resource), None
    if problem is None and resource is INGRESSES:
        problem, wait = await _missing_certificate(ctx, obj, address), _CERTIFICATE_RECHECK_SECONDS
    if problem is None:
        return RouteReport(_url(ctx, address), (True, "RouteProgrammed", f"the data plane serves {address}"))
    return RouteReport(_kept_url(obj, address), (False, *problem), requeue_after=wait)


def _not_offered(route: Route) -> RouteReport:
    """Return the report of a platform that publishes no Services."""
    if not (route.enabled or route.host or route.path):
        return RouteReport()
    message = "spec.route has no effect: the platform publishes no Services (routing.kind of the chart)"
    return RouteReport(condition=(False, "NotOffered", message), is_wanted=False)


def _problem(ctx: Context, obj: CustomObject, address: Address, resource: ApiResource) -> Problem | None:
    """Return why the data plane does not serve an address, None if it does."""
    if resource is HTTP_ROUTES and (problem := _gateway_problem(ctx, address)):
        return problem
    child = ctx.cache.children.get(resource, obj.key.namespace, obj.key.name)
    return _reported_problem(child.route if child else RouteStatus(), resource.kind)


def _gateway_problem(ctx: Context, address: Address) -> Problem | None:
    """Return why the Gateway does not serve the host of an address, None if it does."""
    reference, gateway = ctx.settings.routing.gateway, ctx.routing.gateway
    if gateway is None:
        return Problem("GatewayMissing", f"Gateway {reference.namespace}/{reference.name} does not exist")
    listener = gateway.listener_for(address.host, reference.section_name)
    if isinstance(listener, Problem):
        return listener
    # Traefik does not accept a Gateway without a valid listener. Then the listener names the cause.
    if listener.problem and listener.problem.reason == CERTIFICATE_MISSING:
        return listener.problem
    return gateway.problem or listener.problem


def _reported_problem(status: RouteStatus, kind: str) -> Problem | None:
    if not status.reported:
        return Problem(PENDING, f"the data plane has not reported on the {kind} yet")
    if not status.reason:
        return None
    # The core Service exists before the route: a data plane may read the route first.
    reason = PENDING if status.reason == _BACKEND_NOT_FOUND else status.reason
    return Problem(reason, f"{kind}: {status.message}")


async def _missing_certificate(ctx: Context, obj: CustomObject, address: Address) -> Problem | None:
    """Return the problem of an Ingress whose Secret with the certificate is missing, None if it exists.

    No status of an Ingress shows it. An address that has served is not checked again.
    """
    secret = routing.tls_secret(obj.key.name, obj.key.namespace, ctx.settings.routing)
    is_known = obj.has_condition(ROUTE_READY) and _kept_url(obj, address) is not None
    if not secret or is_known:
        return None
    if await ctx.client.get_or_none(SECRETS, obj.key.namespace, secret):
        return None
    message = f"Secret {secret} with the certificate of {address.host} does not exist"
    return Problem(CERTIFICATE_MISSING, message)


def _url(ctx: Context, address: Address) -> str:
    """Return the public URL of an address that the data plane serves."""
    settings, gateway = ctx.settings.routing, ctx.routing.gateway
    scheme, port = "https" if settings.ingress.tls else "http", 0
    if route_resource(settings) is HTTP_ROUTES and gateway:
        listener = gateway.listener_for(address.host, settings.gateway.section_name)
        if not isinstance(listener, Problem):
            scheme, port = listener.scheme, listener.port
    return address.url(settings.scheme or scheme, settings.port or (0 if settings.scheme else port))


def _kept_url(obj: CustomObject, address: Address) -> str | None:
    """Return the URL in the status if it has this address: a fault of the data plane changes no address."""
    url: str = obj.status.get("url", "")
    place, _, path = url.partition("://")[2].partition("/")
    return url if Address(place.partition(":")[0], f"/{path}") == address else None
