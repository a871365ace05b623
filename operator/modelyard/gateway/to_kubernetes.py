"""The specs of custom resources, from the bodies of requests."""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.base import ApiType
from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, Kind
from modelyard.gateway import schemas
from modelyard.gateway.name_mapping import parse_id
from modelyard.kube.types import Json

_READ_ONLY: Final = {"id", "version", "created_at", "created_time"}


def reference(kind: Kind, text: str) -> str:
    """Return the reference of an id in a request."""
    return str(parse_id(kind, text))


def model_spec(model: schemas.Model) -> Json:
    """Return the spec of a Model."""
    return _request_fields(model)


def manifest_spec(manifest: schemas.Manifest) -> Json:
    """Return the spec of a Manifest."""
    return _request_fields(manifest) | {"modelIds": [reference(MODEL, id_) for id_ in manifest.model_ids]}


def image_spec(request: schemas.ImageRequest) -> Json:
    """Return the spec of an Image."""
    return _request_fields(request) | {"manifestId": reference(MANIFEST, request.manifest_id)}


def service_spec(request: schemas.ServiceCreateRequest) -> Json:
    """Return the spec of a new Service."""
    return _request_fields(request) | {"imageId": reference(IMAGE, request.image_id)}


def updated_service_spec(current: Json, request: schemas.ServiceUpdateRequest) -> Json:
    """Return the spec of a Service after an update.

    Of a field with parts, only the parts in the request change. A fixed number of replicas replaces the
    autoscaler, and an enabled autoscaler replaces the fixed number.
    """
    changes = _request_fields(request)
    if request.image_id:
        changes["imageId"] = reference(IMAGE, request.image_id)
    updated = dict(current)
    if request.num_replicas is not None:
        updated.pop("autoScaler", None)
    if request.auto_scaler and request.auto_scaler.autoscale_enabled:
        updated.pop("numReplicas", None)
    for field, value in changes.items():
        updated[field] = _merged(updated.get(field), value)
    return updated


def _merged(current: Any, change: Any) -> Any:
    return current | change if isinstance(current, dict) and isinstance(change, dict) else change


def _request_fields(request: ApiType) -> Json:
    """Return the fields in a request that a client may set. The operator applies defaults of the others."""
    fields: Json = request.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude=_READ_ONLY
    )
    return fields
