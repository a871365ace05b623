"""Wire to Kubernetes: the specs of our objects from what clients send."""

from __future__ import annotations

from modelyard.api.kinds import IMAGE, MANIFEST, MODEL, Kind
from modelyard.gateway import wire
from modelyard.gateway.names import parse_id
from modelyard.kube.types import Json

_GIVEN_BY_US = {"id", "version", "created_at", "created_time"}


def reference(kind: Kind, text: str) -> str:
    """The reference that an id of a client means."""
    return str(parse_id(kind, text))


def model_spec(model: wire.Model) -> Json:
    """The spec of a Model."""
    return _spec(model)


def manifest_spec(manifest: wire.Manifest) -> Json:
    """The spec of a Manifest."""
    return _spec(manifest) | {"modelIds": [reference(MODEL, id_) for id_ in manifest.model_ids]}


def image_spec(request: wire.ImageRequest) -> Json:
    """The spec of an Image."""
    return request.wire() | {"manifestId": reference(MANIFEST, request.manifest_id)}


def service_spec(request: wire.ServiceCreateRequest) -> Json:
    """The spec of a new Service."""
    return request.wire() | {"imageId": reference(IMAGE, request.image_id)}


def updated_service_spec(present: Json, request: wire.ServiceUpdateRequest) -> Json:
    """The spec of a Service with what the request names; a way of scaling replaces the other one."""
    said = request.wire()
    if request.image_id:
        said["imageId"] = reference(IMAGE, request.image_id)
    spec = present | said
    if request.num_replicas is not None and request.auto_scaler is None:
        spec.pop("autoScaler", None)
    if request.auto_scaler and request.auto_scaler.autoscale_enabled and request.num_replicas is None:
        spec.pop("numReplicas", None)
    return spec


def _spec(request: wire.Model | wire.Manifest) -> Json:
    spec: Json = request.model_dump(
        mode="json", by_alias=True, exclude_none=True, exclude_unset=True, exclude=_GIVEN_BY_US
    )
    return spec
