"""Wire to Kubernetes: the specs of our objects from what clients send."""

from __future__ import annotations

from typing import Any, Final

from modelyard.api.base import ApiType
from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, Kind
from modelyard.gateway import schemas
from modelyard.gateway.name_mapping import parse_id
from modelyard.kube.types import Json

_GIVEN_BY_US: Final = {"id", "version", "created_at", "created_time"}


def reference(kind: Kind, text: str) -> str:
    """The reference that an id of a client means."""
    return str(parse_id(kind, text))


def model_spec(model: schemas.Model) -> Json:
    """The spec of a Model."""
    return _said(model)


def manifest_spec(manifest: schemas.Manifest) -> Json:
    """The spec of a Manifest."""
    return _said(manifest) | {"modelIds": [reference(MODEL, id_) for id_ in manifest.model_ids]}


def image_spec(request: schemas.ImageRequest) -> Json:
    """The spec of an Image."""
    return _said(request) | {"manifestId": reference(MANIFEST, request.manifest_id)}


def service_spec(request: schemas.ServiceCreateRequest) -> Json:
    """The spec of a new Service."""
    return _said(request) | {"imageId": reference(IMAGE, request.image_id)}


def updated_service_spec(present: Json, request: schemas.ServiceUpdateRequest) -> Json:
    """The spec of a Service with what the request names, down to single fields of what it has parts of.

    A way of scaling replaces the other one.
    """
    said = _said(request)
    if request.image_id:
        said["imageId"] = reference(IMAGE, request.image_id)
    kept = dict(present)
    if request.num_replicas is not None:
        kept.pop("autoScaler", None)
    if request.auto_scaler and request.auto_scaler.autoscale_enabled:
        kept.pop("numReplicas", None)
    return kept | {field: _with(kept.get(field), value) for field, value in said.items()}


def _with(present: Any, said: Any) -> Any:
    return present | said if isinstance(present, dict) and isinstance(said, dict) else said


def _said(request: ApiType) -> Json:
    """What a client sent and is not ours to give; what it left out has its default later."""
    said: Json = request.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude=_GIVEN_BY_US
    )
    return said
