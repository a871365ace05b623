"""Route of a Service: its claim of an address, its HTTPRoute or Ingress, and the condition RouteReady."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Final, NamedTuple
from urllib.parse import urlsplit

from modelyard.api.kinds import SERVICE
from modelyard.api.revision import Revision
from modelyard.api.route import Route
from modelyard.api.service import ServiceSpec
from modelyard.api.status import State
from modelyard.kube.types import HTTP_ROUTES, INGRESSES, SECRETS, ApiResource, Json, Key
from modelyard.reconcile.children import create_or_patch, ensure_absent
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.outcome import Condition, Outcome
from modelyard.reconcile.revisions import as_owner
from modelyard.reconcile.routes.gateway import CERTIFICATE_MISSING, Problem
from modelyard.reconcile.routes.route_status import RouteStatus
from modelyard.reconcile.services.served_image import IMAGE_NOT_READY
from modelyard.reconcile.timestamps import parse_timestamp
from modelyard.resources import routing
from modelyard.resources.routing import Address, AddressProblem, route_resource

ROUTE_READY: Final = "RouteReady"
"""Condition of a Service: the data plane serves its public address."""

NOT_READY: Final = "RouteNotReady"
"""Reason of Ready while RouteReady is not True."""

# A data plane programs a route within a second, while the pods start. A version whose route takes longer has
# ended its rollout, so that a Gateway that is missing does not keep its operation running.
_ROUTE_WAIT: Final = dt.timedelta(seconds=60)
_CERTIFICATE_RECHECK_SECONDS: Final = 30.0  # the operator watches no Secrets of other owners
_PENDING: Final = "RoutePending"


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
        return self.condition is not None and self.condition[1] == _PENDING

    @property
    def conditions(self) -> dict[str, Condition]:
        """The condition by its type, empty for a Service without a route."""
        return {ROUTE_READY: self.condition} if self.condition else {}


def claim_address(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> None:
    """Claim the address of a Service, and queue the Services that lose or get one."""
    if route_resource(ctx.settings.routing) is None:
        return
    _recover(ctx)
    address = _wanted_address(ctx, obj.key, spec.public_route)
    _claim(ctx, obj.key, obj.created, address if isinstance(address, Address) else None)


def release_address(ctx: Context, key: Key) -> None:
    """Release the address of a deleted Service, and queue the Services that may get it."""
    _claim(ctx, key, "", None)


def _claim(ctx: Context, key: Key, created: str, address: Address | None) -> None:
    for affected in ctx.routing.claims.claim(key, created, address):
        ctx.queue.add(affected)


def _recover(ctx: Context) -> None:
    """Claim the addresses of all Services of the cache before the first one decides about its own.

    A spec without its route, because it is large, claims its address with its first reconcile.
    """
    claims = ctx.routing.claims
    if claims.recovered:
        return
    claims.recovered = True
    for obj in ctx.cache.objects.all():
        if obj.key.kind == SERVICE.name and obj.has_whole_spec and not obj.deleting:
            try:
                route = Route.model_validate(obj.spec.get("route") or {})
            except ValueError:  # its reconcile reports the field
                continue
            address = _wanted_address(ctx, obj.key, route)
            claims.claim(obj.key, obj.created, address if isinstance(address, Address) else None)


def _wanted_address(ctx: Context, key: Key, route: Route) -> Address | AddressProblem | None:
    """Return the address that a Service asks for, None if it has no route."""
    settings = ctx.settings.routing
    is_enabled = settings.enabled if route.enabled is None else route.enabled
    return routing.public_address(route, key.namespace, key.name, settings) if is_enabled else None


def _held_address(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> Address | AddressProblem | None:
    """Return the address that a Service holds, or the reason why it has none; None for no route."""
    address = _wanted_address(ctx, obj.key, spec.public_route)
    if not isinstance(address, Address):
        return address
    holder = ctx.routing.claims.holder(address)
    if holder in {obj.key, None}:
        return address
    message = (
        f"{address} belongs to the older Service {holder.namespace}/{holder.name}: set another spec.route"
    )
    return AddressProblem("AddressTaken", message)


async def write_route(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> None:
    """Create, patch or delete the HTTPRoute or Ingress of a Service. Raises NameTaken and Conflict."""
    settings = ctx.settings.routing
    resource = route_resource(settings)
    if resource is None or ctx.routing.problem:
        return
    owner, namespace, name = as_owner(obj), obj.key.namespace, obj.key.name
    address = _held_address(ctx, obj, spec)
    if not isinstance(address, Address):
        await ensure_absent(ctx, obj, resource, name)
        return

    def build() -> Json:
        if resource is HTTP_ROUTES:
            return routing.http_route(owner, address, settings)
        return routing.ingress(owner, namespace, address, settings)

    await create_or_patch(ctx, obj, resource, name, build, inputs=str(address))


async def route_report(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> RouteReport:
    """Return the state of the public address of a Service."""
    resource = route_resource(ctx.settings.routing)
    if resource is None:
        return _not_offered(spec.public_route)
    address = _held_address(ctx, obj, spec)
    if address is None:
        return RouteReport()
    if isinstance(address, AddressProblem):
        return RouteReport(condition=(False, *address), needs_user=True)
    problem = ctx.routing.problem or _problem(ctx, obj, address, resource)
    if problem is None:
        problem = await _missing_certificate(ctx, obj, address)
    if problem is None:
        return RouteReport(_url(ctx, address), (True, "RouteProgrammed", f"the data plane serves {address}"))
    wait = _CERTIFICATE_RECHECK_SECONDS if problem.reason == CERTIFICATE_MISSING else None
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
        return Problem(_PENDING, f"the data plane has not reported on the {kind} yet")
    return Problem(status.reason, f"{kind}: {status.message}") if status.reason else None


async def _missing_certificate(ctx: Context, obj: CustomObject, address: Address) -> Problem | None:
    """Return the problem of an Ingress whose Secret with the certificate is missing, None if it exists.

    No status of an Ingress shows it. An address that has served is not checked again.
    """
    settings = ctx.settings.routing
    secret = routing.tls_secret(obj.key.name, obj.key.namespace, settings)
    is_known = obj.has_condition(ROUTE_READY) and _kept_url(obj, address) is not None
    if route_resource(settings) is not INGRESSES or not secret or is_known:
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
    url = obj.status.get("url")
    if not url:
        return None
    parts = urlsplit(url)
    return url if Address(parts.hostname or "", parts.path or routing.WHOLE_HOST) == address else None


def until_first_serving(obj: CustomObject, outcome: Outcome, report: RouteReport) -> RouteReport:
    """Return the report of a Service whose first version rolls out: its URL comes with the end of the roll.

    The address answers with an error until then. One status write less for each new Service.
    """
    is_rolling = outcome.state is State.RUNNING and outcome.reason != IMAGE_NOT_READY
    had_route = obj.has_condition(ROUTE_READY)
    if not is_rolling or had_route or not (report.url or report.is_pending):
        return report
    return RouteReport(condition=(False, _PENDING, "reported once the first version is rolled out"))


async def route_wait(
    ctx: Context, obj: CustomObject, spec: ServiceSpec, revision: Revision
) -> Outcome | None:
    """Return the outcome of a new version whose replicas serve, while the data plane has yet to report.

    A client that reads the scoring URI at the end of the operation gets the public one. None after 60 s.
    """
    report = await route_report(ctx, obj, spec)
    left = _ROUTE_WAIT - (ctx.now() - parse_timestamp(revision.created))
    if report.condition is None or not report.is_pending or left <= dt.timedelta():
        return None
    message = f"{revision.id}: {report.condition[2]}"
    return Outcome(State.RUNNING, NOT_READY, message, revision, requeue_after=left.total_seconds())


def with_route(outcome: Outcome, report: RouteReport) -> Outcome:
    """Return the outcome of a Service, not ready while its public address does not serve."""
    waits = (outcome.requeue_after, report.requeue_after)
    outcome = dataclasses.replace(
        outcome, requeue_after=min((wait for wait in waits if wait is not None), default=None)
    )
    if not report.is_missing or outcome.state is not State.SUCCEEDED:
        return outcome
    if not outcome.ready or outcome.stalled or report.condition is None:
        return outcome
    message = f"{outcome.message}; no public address: {report.condition[2]}"
    return dataclasses.replace(
        outcome, ready=False, reason=NOT_READY, message=message, stalled=report.needs_user
    )
