"""The bodies of responses, from revisions and objects of the cluster.

An empty description is included, because clients of 2017 read the description of everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelyard.api.kinds import IMAGE
from modelyard.api.names import REGISTRATION
from modelyard.api.revision import FullRevision
from modelyard.api.status import State
from modelyard.gateway.operation_status import OperationStatus
from modelyard.kube.types import Json

_CONFIGURATION_FIELDS: Final = (
    "numReplicas",
    "autoScaler",
    "containerResourceReservation",
    "maxConcurrentRequestsPerContainer",
    "appInsightsEnabled",
    "dataCollection",
    "pod",
    "route",
)
_BUILD_LOG: Final = "BuildLog"


def _without_none(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _content(version: FullRevision) -> Json:
    """Return the fields of a version's spec, its description and tags, id, display name and number."""
    content = {key: value for key, value in version.data.items() if key != REGISTRATION}
    return (
        {"id": version.id}
        | content
        | version.about
        | {"name": version.display_name, "version": version.version}
    )


def model(version: FullRevision) -> Json:
    """Return the Model of a version."""
    defaults = {"unpack": False, "tags": [], "description": ""}
    return defaults | _content(version) | {"createdAt": version.created}


def manifest(version: FullRevision) -> Json:
    """Return the Manifest of a version."""
    defaults = {"description": "", "modelIds": [], "modelType": "Registered", "webserviceType": "Realtime"}
    return defaults | _content(version) | {"createdTime": version.created}


def image(
    version: FullRevision, status: OperationStatus, built_from: FullRevision | None, log_uri: str
) -> Json:
    """Return the Image of a version; `built_from` is its manifest, None if that was deleted."""
    return _without_none(
        id=version.id,
        name=version.display_name,
        version=version.version,
        description=version.about.get("description", ""),
        computeResourceId=version.data.get("computeResourceId"),
        createdTime=version.created,
        creationState=str(status.state),
        error=status.error,
        imageBuildLogUri=log_uri if _has_log(version, status) else None,
        imageLocation=version.location,
        imageType=version.data.get("imageType"),
        manifest=manifest(built_from) if built_from else None,
    )


def _has_log(version: FullRevision, status: OperationStatus) -> bool:
    """Return whether a version has a log: an image that was already in the registry has no build."""
    return version.has_build_log or not status.state.ended


def service(
    body: Json, image_body: Json | None, built_from: FullRevision | None, models: Iterable[FullRevision]
) -> Json:
    """Return the ServiceResponse of a Service; `image_body` is the Image that it serves."""
    spec, status, metadata = body["spec"], body.get("status") or {}, body["metadata"]
    response: Json = {"computeResource": spec.get("computeResource") or {"type": "Cluster"}}
    response |= {field: spec[field] for field in _CONFIGURATION_FIELDS if field in spec}
    response |= _without_none(
        id=metadata["name"],
        name=spec.get("name", metadata["name"]),
        state=status.get("state", str(State.NOT_STARTED)),
        error=status.get("error"),
        scoringUri=status.get("scoringUri"),
        createdAt=metadata["creationTimestamp"],
        updatedAt=status.get("createdTime", metadata["creationTimestamp"]),
        image=image_body,
        manifest=manifest(built_from) if built_from else None,
    )
    response["models"] = [model(version) for version in models]
    return response


def deployment(version: FullRevision, state: State, expired: str | None) -> Json:
    """Return the Deployment of a version of a Service; `expired` is the time (RFC 3339) of its expiry."""
    return _without_none(
        id=version.name,
        serviceName=version.display_name,
        imageId=version.data.get("imageId"),
        createdAt=version.created,
        expiredAt=expired,
        status=str(state),
    )


def operation(version: FullRevision, status: OperationStatus, location: str, log_uri: str | None) -> Json:
    """Return the AsyncOperationStatus of a version.

    The first detail of a failed build is the URL of its log: clients of 2017 print that detail.
    """
    error = status.error
    if error and log_uri and version.kind is IMAGE and version.has_build_log:
        log_detail = {"code": _BUILD_LOG, "message": log_uri}
        error = error | {"details": [log_detail, *error.get("details", ())]}
    return _without_none(
        id=version.name,
        operationType=version.kind.name,
        state=str(status.state),
        createdTime=version.created,
        endTime=status.ended,
        error=error,
        resourceLocation=location,
    )


def pending_operation(kind: str, id_: str, body: Json, location: str) -> Json:
    """Return the AsyncOperationStatus of a version that the operator has yet to record."""
    return _without_none(
        id=id_,
        operationType=kind,
        state=str(State.NOT_STARTED),
        createdTime=body["metadata"]["creationTimestamp"],
        resourceLocation=location,
    )
