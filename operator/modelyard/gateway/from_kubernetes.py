"""Kubernetes to wire: what clients get, from versions and objects.

A description is there even when it is empty: clients of the time read it of everything.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from modelyard.api.kinds import IMAGE
from modelyard.api.names import REGISTRATION
from modelyard.api.revision import Revision
from modelyard.api.status import State
from modelyard.gateway.operation_status import OperationStatus
from modelyard.kube.types import Json

_CONFIGURATION: Final = (
    "numReplicas",
    "autoScaler",
    "containerResourceReservation",
    "maxConcurrentRequestsPerContainer",
    "appInsightsEnabled",
    "dataCollection",
)
_BUILD_LOG: Final = "BuildLog"


def _given(**fields: Any) -> Json:
    return {key: value for key, value in fields.items() if value is not None}


def _content(version: Revision) -> Json:
    said = {key: value for key, value in version.data.items() if key != REGISTRATION}
    return {
        "id": version.id, **said, **version.about, "name": version.display_name, "version": version.version,
    }  # fmt: skip


def model(version: Revision) -> Json:
    """Model."""
    defaults = {"unpack": False, "tags": [], "description": ""}
    return defaults | _content(version) | {"createdAt": version.created}


def manifest(version: Revision) -> Json:
    """Manifest."""
    defaults = {"description": "", "modelIds": [], "modelType": "Registered", "webserviceType": "Realtime"}
    return defaults | _content(version) | {"createdTime": version.created}


def image(version: Revision, now: OperationStatus, built_from: Revision | None, log_uri: str) -> Json:
    """Image; `built_from` is its manifest, None when that is gone."""
    return _given(
        id=version.id,
        name=version.display_name,
        version=version.version,
        description=version.about.get("description", ""),
        computeResourceId=version.data.get("computeResourceId"),
        createdTime=version.created,
        creationState=str(now.state),
        error=now.error,
        imageBuildLogUri=log_uri if _has_log(version, now) else None,
        imageLocation=version.location,
        imageType=version.data.get("imageType"),
        manifest=manifest(built_from) if built_from else None,
    )


def _has_log(version: Revision, now: OperationStatus) -> bool:
    """An image that was found in the registry has no build, and so no log."""
    return version.has_build_log or not now.state.ended


def service(body: Json, served: Json | None, built_from: Revision | None, models: Iterable[Revision]) -> Json:
    """ServiceResponse of a Service; `served` is its image as the wire has it."""
    spec, status, metadata = body["spec"], body.get("status") or {}, body["metadata"]
    return {
        "computeResource": spec.get("computeResource") or {"type": "Cluster"},
        **{field: spec[field] for field in _CONFIGURATION if field in spec},
        **_given(
            id=metadata["name"],
            name=spec.get("name", metadata["name"]),
            state=status.get("state", str(State.NOT_STARTED)),
            error=status.get("error"),
            scoringUri=status.get("scoringUri"),
            createdAt=metadata["creationTimestamp"],
            updatedAt=status.get("createdTime", metadata["creationTimestamp"]),
            image=served,
            manifest=manifest(built_from) if built_from else None,
        ),
        "models": [model(version) for version in models],
    }


def deployment(version: Revision, state: State, following: Revision | None) -> Json:
    """Deployment: a version of a Service, until the next one."""
    return _given(
        id=version.name,
        serviceName=version.display_name,
        imageId=version.data.get("imageId"),
        createdAt=version.created,
        expiredAt=following.created if following else None,
        status=str(state),
    )


def operation(version: Revision, now: OperationStatus, location: str, log_uri: str | None) -> Json:
    """AsyncOperationStatus; clients print the first detail of a failed build as its log's place."""
    error = now.error
    if error and log_uri and version.kind is IMAGE and version.has_build_log:
        place = {"code": _BUILD_LOG, "message": log_uri}
        error = error | {"details": [place, *error.get("details", ())]}
    return _given(
        id=version.name,
        operationType=version.kind.name,
        state=str(now.state),
        createdTime=version.created,
        endTime=now.ended,
        error=error,
        resourceLocation=location,
    )


def pending_operation(kind: str, id_: str, body: Json, location: str) -> Json:
    """AsyncOperationStatus of a version that the operator has still to record."""
    created = body["metadata"]["creationTimestamp"]
    return _given(
        id=id_,
        operationType=kind,
        state=str(State.NOT_STARTED),
        createdTime=created,
        resourceLocation=location,
    )
