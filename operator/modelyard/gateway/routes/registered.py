"""What models, manifests and images share: registered by name, read by id."""

from __future__ import annotations

from collections.abc import Iterable

from modelyard.api.kinds import Kind
from modelyard.api.names import parse_version_reference
from modelyard.api.resources import CUSTOM_RESOURCES
from modelyard.api.revision import Revision
from modelyard.api.status import ErrorDetail
from modelyard.gateway.errors import ApiError, bad_request, not_found
from modelyard.gateway.name_mapping import (
    object_name,
    parse_id,
)
from modelyard.gateway.registration import Registration
from modelyard.gateway.request_context import Exchange
from modelyard.kube.types import Json


async def register(call: Exchange, kind: Kind, name: str, spec: Json) -> Revision:
    """The next version of a name. ApiError 409 when the name's object has another display name."""
    object_ = object_name(kind, name)

    def change(present: Json | None) -> Json:
        known = name if present is None else present.get("name", object_)
        if known != name:
            raise ApiError(
                409, "NameTaken", f"{kind.name} {object_} has the name {known!r} already: choose another name"
            )
        return spec

    patience = call.parts.settings.patience_seconds
    return await Registration(call.caller, kind, object_, change, patience).run(call.parts.turns)


async def by_id(call: Exchange, kind: Kind, id_: str) -> Revision:
    """The version with an id; ApiError 404 when there is none."""
    reference = parse_id(kind, id_)
    version = await call.version(kind, str(reference)) if reference.version else None
    if version is None:
        raise not_found(kind.name, id_)
    return version


async def require(call: Exchange, kind: Kind, references: Iterable[str]) -> None:
    """ApiError 400, with a detail for each, when some of these are not registered."""
    missing = [text for text in references if not await _is_registered(call, kind, text)]
    if missing:
        raise bad_request(
            f"{kind.name}NotFound",
            f"not registered: {', '.join(missing)}",
            *(
                ErrorDetail(code=f"{kind.name}NotFound", message=f"{text} is not registered")
                for text in missing
            ),
        )


async def _is_registered(call: Exchange, kind: Kind, text: str) -> bool:
    reference = parse_version_reference(text)
    if reference.version:
        return await call.version(kind, text) is not None
    body = await call.caller.find(CUSTOM_RESOURCES[kind.name], reference.name)
    return body is not None and bool((body.get("status") or {}).get("version"))
