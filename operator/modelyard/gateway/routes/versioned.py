"""Registration by name and versions by id, for models, manifests and images."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.api.kinds import Kind
from modelyard.api.names import parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import FullRevision
from modelyard.api.status import ErrorDetail
from modelyard.gateway import error_codes
from modelyard.gateway.errors import ApiError, not_found
from modelyard.gateway.name_mapping import object_name, parse_id
from modelyard.gateway.registration import Change, Registration
from modelyard.gateway.request_context import RequestContext
from modelyard.kube.types import Json


async def register(context: RequestContext, kind: Kind, name: str, spec: Json) -> FullRevision:
    """Register and return the next version of a display name.

    Raises ApiError 409 if the object of the name has another display name.
    """
    object_ = object_name(kind, name)

    def change(current: Json | None) -> Json:
        current_name = name if current is None else current.get("name", object_)
        if current_name != name:
            message = f"{kind.name} {object_} has the name {current_name!r} already: choose another name"
            raise ApiError(error_codes.NAME_TAKEN, message)
        return spec

    return await register_change(context, kind, object_, change)


async def register_change(context: RequestContext, kind: Kind, name: str, change: Change) -> FullRevision:
    """Register and return the version that a change of an object makes."""
    state = context.state
    registration = Registration(
        context.client,
        context.namespace,
        kind,
        name,
        change,
        timeout_seconds=state.settings.registration_timeout_seconds,
        sleep=state.sleep,
    )
    return await registration.run(state.lock)


async def get_version(context: RequestContext, kind: Kind, id_: str) -> FullRevision:
    """Return the version of an id. Raises ApiError 404 if there is none."""
    reference = parse_id(kind, id_)
    version = await context.version(kind, str(reference)) if reference.version else None
    if version is None:
        raise not_found(error_codes.NOT_FOUND_BY_KIND[kind.name], id_)
    return version


async def require_registered(context: RequestContext, kind: Kind, references: Iterable[str]) -> None:
    """Raise ApiError 400, with a detail for each, if some of the references are not registered."""
    missing = [text for text in references if not await _is_registered(context, kind, text)]
    if missing:
        error = error_codes.NOT_REGISTERED_BY_KIND[kind.name]
        details = [ErrorDetail(code=error.code, message=f"{text} is not registered") for text in missing]
        raise ApiError(error, f"not registered: {', '.join(missing)}", details)


async def _is_registered(context: RequestContext, kind: Kind, text: str) -> bool:
    reference = parse_version_reference(text)
    if reference.version:
        return await context.version(kind, text) is not None
    body = await context.get_or_none(CUSTOM_RESOURCES[kind.name], reference.name)
    return body is not None and bool((body.get("status") or {}).get("version"))
