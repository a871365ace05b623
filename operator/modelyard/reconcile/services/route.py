"""Route of a Service: its claim of an address, and its HTTPRoute or Ingress."""

from __future__ import annotations

from modelyard.api.kinds import SERVICE
from modelyard.api.route import Route
from modelyard.api.service import ServiceSpec
from modelyard.kube.types import HTTP_ROUTES, Json, Key
from modelyard.reconcile.children import create_or_patch, ensure_absent
from modelyard.reconcile.context import Context
from modelyard.reconcile.objects import CustomObject
from modelyard.reconcile.revisions import as_owner
from modelyard.resources import routing
from modelyard.resources.routing import Address, AddressProblem, route_resource

RouteAddress = Address | AddressProblem | None
"""The address of a Service, the reason why it has none, or None for a Service without a route."""


def claim_address(ctx: Context, obj: CustomObject, spec: ServiceSpec) -> RouteAddress:
    """Claim and return the address of a Service, and queue the Services that lose or get one.

    One claim counts for a whole reconcile: an older Service that claims the address later queues this one.
    """
    if route_resource(ctx.settings.routing) is None:
        return None
    _recover(ctx)
    address = _wanted_address(ctx, obj.key, spec.public_route)
    if not isinstance(address, Address):
        _claim(ctx, obj.key, obj.created, None)
        return address
    _claim(ctx, obj.key, obj.created, address)
    holder = ctx.routing.claims.holder(address)
    if holder is None or holder == obj.key:
        return address
    message = (
        f"{address} belongs to the older Service {holder.namespace}/{holder.name}: set another spec.route"
    )
    return AddressProblem("AddressTaken", message)


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


def _wanted_address(ctx: Context, key: Key, route: Route) -> RouteAddress:
    """Return the address that a Service asks for, None if it has no route."""
    settings = ctx.settings.routing
    is_enabled = settings.enabled if route.enabled is None else route.enabled
    return routing.public_address(route, key.namespace, key.name, settings) if is_enabled else None


async def write_route(ctx: Context, obj: CustomObject, address: RouteAddress) -> None:
    """Create, patch or delete the HTTPRoute or Ingress of a Service. Raises NameTaken and Conflict."""
    settings = ctx.settings.routing
    resource = route_resource(settings)
    if resource is None or ctx.routing.problem:
        return
    owner, namespace, name = as_owner(obj), obj.key.namespace, obj.key.name
    if not isinstance(address, Address):
        await ensure_absent(ctx, obj, resource, name)
        return

    def build() -> Json:
        if resource is HTTP_ROUTES:
            return routing.http_route(owner, address, settings)
        return routing.ingress(owner, namespace, address, settings)

    await create_or_patch(ctx, obj, resource, name, build, inputs=str(address))
