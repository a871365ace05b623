"""The reference of 2017 as data: each route, parameter, status, header, definition and field.

This file is written from the reference, not from the code. So a part that the code lacks fails a test.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final, NamedTuple

BASE: Final = "/api/subscriptions/{subscriptionId}/resourceGroups/{resourceGroupName}/accounts/{accountName}"
API_VERSION: Final = "2017-09-01-preview"
# Parameters of every route, in the path, in the query and in a header.
EVERYWHERE: Final = ("subscriptionId", "resourceGroupName", "accountName", "api-version", "Authorization")
OPERATION_LOCATION: Final = "Operation-Location"
_PAGED: Final = ("count", "$skipToken")


@dataclass(frozen=True)
class Route:
    """One route: its own parameters, the definition of its body, and one of the response for each status."""

    method: str
    path: str
    responses: dict[int, str | None]
    parameters: tuple[str, ...] = ()
    body: str | None = None
    headers: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Return the method and the path."""
        return f"{self.method} {self.path}"


_SERVICE_FILTERS: Final = (
    "serviceName", "modelId", "modelName", "manifestId", "manifestName", "imageId", "computeResourceId",
)  # fmt: skip
_LOCATED: Final = (OPERATION_LOCATION,)

ROUTES: Final = (
    Route("POST", "/models", {200: "Model"}, body="Model"),
    Route("GET", "/models", {200: "PaginatedModelList"}, ("name", "tag", *_PAGED)),
    Route("GET", "/models/{id}", {200: "Model"}, ("id",)),
    Route("POST", "/manifests", {200: "Manifest"}, body="Manifest"),
    Route("GET", "/manifests", {200: "PaginatedManifestList"}, ("modelId", "manifestName", *_PAGED)),
    Route("GET", "/manifests/{id}", {200: "Manifest"}, ("id",)),
    Route("POST", "/images", {202: None}, body="ImageRequest", headers=_LOCATED),
    Route("GET", "/images", {200: "PaginatedImageList"}, ("manifestId", "manifestName", *_PAGED)),
    Route("GET", "/images/{id}", {200: "Image"}, ("id",)),
    Route(
        "POST", "/services", {202: None, 409: "ErrorResponse"}, body="ServiceCreateRequest", headers=_LOCATED
    ),
    Route("GET", "/services", {200: "PaginatedServiceList"}, (*_SERVICE_FILTERS, *_PAGED)),
    Route("GET", "/services/{id}", {200: "ServiceResponse"}, ("id",)),
    Route(
        "PUT", "/services/{id}", {202: None, 404: "ErrorResponse"}, ("id",),
        body="ServiceUpdateRequest", headers=_LOCATED,
    ),
    Route("DELETE", "/services/{id}", {200: None, 204: None}, ("id",)),
    Route("GET", "/services/{id}/keys", {200: "AuthKeys"}, ("id",)),
    Route("POST", "/services/{id}/keys", {200: "AuthKeys"}, ("id",), body="ServiceRegenerateKeyRequest"),
    Route("GET", "/deployments", {200: "DeploymentList"}, ("serviceId",)),
    Route("GET", "/deployments/{id}", {200: "Deployment"}, ("id",)),
    Route("GET", "/operations/{id}", {200: "AsyncOperationStatus"}, ("id",)),
)  # fmt: skip
# Additions to the reference: a route and a filter that clients of 2017 use, the route of imageBuildLogUri.
ADDED_ROUTES: Final = (
    Route(
        "POST", "/services/{id}/regenerateKeys", {200: "AuthKeys"}, ("id",),
        body="ServiceRegenerateKeyRequest",
    ),
    Route("GET", "/images/{id}/log", {200: None}, ("id",)),
)  # fmt: skip
ADDED_PARAMETERS: Final = {"GET /images": ("name",)}


class Field(NamedTuple):
    """A field. `type` is string, integer, boolean, date-time, a definition, [item] or {string}."""

    name: str
    type: str
    required: bool = False
    read_only: bool = False
    least: int | None = None
    most: int | None = None


def _fields(text: str) -> tuple[Field, ...]:
    """Parse one field per line: `name type [*] [r] [least..most]`. `*` is required, `r` read-only."""
    fields = []
    for line in filter(str.strip, text.splitlines()):
        name, type_, *flags = line.split()
        least, _, most = next((flag for flag in flags if ".." in flag), "..").partition("..")
        fields.append(
            Field(
                name, type_, "*" in flags, "r" in flags,
                int(least) if least else None, int(most) if most else None,
            )
        )  # fmt: skip
    return tuple(fields)


ENUMS: Final = {
    "AsyncOperationState": ("NotStarted", "Running", "Cancelled", "Succeeded", "Failed"),
    "ImageType": ("Docker",),
    "OperationType": ("Image", "Service"),
    "ComputeResourceType": ("Cluster",),
    "ModelType": ("Registered",),
    "WebserviceType": ("Realtime",),
    "RuntimeType": ("SparkPython", "Python"),
    "KeyType": ("Primary", "Secondary"),
}

_CONFIGURATION: Final = """
appInsightsEnabled boolean
autoScaler AutoScaler
containerResourceReservation ContainerResourceReservation
dataCollection ModelDataCollection
maxConcurrentRequestsPerContainer integer 1..
numReplicas integer 0..
"""

DEFINITIONS: Final = {
    "Asset": _fields("""
        id string
        mimeType string
        unpack boolean
        url string
    """),
    "AsyncOperationStatus": _fields("""
        createdTime date-time r
        endTime date-time r
        error ErrorResponse
        id string
        operationType OperationType
        resourceLocation string
        state AsyncOperationState
    """),
    "AuthKeys": _fields("""
        primaryKey string
        secondaryKey string
    """),
    "AutoScaler": _fields("""
        autoscaleEnabled boolean
        maxReplicas integer 1..
        minReplicas integer 0..
        refreshPeriodInSeconds integer 1..
        targetUtilization integer 0..100
    """),
    "ComputeResource": _fields("""
        id string
        type ComputeResourceType
    """),
    "ContainerResourceReservation": _fields("""
        cpu string
        memory string
    """),
    "Deployment": _fields("""
        createdAt date-time r
        expiredAt date-time r
        id string
        imageId string
        serviceName string
        status string
    """),
    "ErrorDetail": _fields("""
        code string *
        message string *
    """),
    "ErrorResponse": _fields("""
        code string *
        details [ErrorDetail]
        message string *
        statusCode integer
    """),
    "Image": _fields("""
        computeResourceId string
        createdTime date-time
        creationState AsyncOperationState
        description string
        error ErrorResponse
        id string
        imageBuildLogUri string
        imageLocation string
        imageType ImageType
        manifest Manifest
        name string
        version integer
    """),
    "ImageRequest": _fields("""
        computeResourceId string *
        description string
        imageType ImageType *
        manifestId string *
        name string *
    """),
    "Manifest": _fields("""
        assets [Asset] *
        createdTime date-time r
        description string
        driverProgram string *
        id string
        modelIds [string]
        modelType ModelType
        name string *
        targetRuntime TargetRuntime *
        version integer r
        webserviceType WebserviceType
    """),
    "Model": _fields("""
        createdAt date-time r
        description string
        id string r
        mimeType string *
        name string *
        tags [string]
        unpack boolean
        url string *
        version integer r
    """),
    "ModelDataCollection": _fields("""
        eventHubEnabled boolean
        storageEnabled boolean
    """),
    "PaginatedImageList": _fields("""
        nextLink string
        value [Image]
    """),
    "PaginatedManifestList": _fields("""
        nextLink string
        value [Manifest]
    """),
    "PaginatedModelList": _fields("""
        nextLink string
        value [Model]
    """),
    "PaginatedServiceList": _fields("""
        nextLink string
        value [ServiceResponse]
    """),
    "ServiceCreateRequest": _fields(f"""
        computeResource ComputeResource *
        imageId string *
        name string *
        {_CONFIGURATION}
    """),
    "ServiceRegenerateKeyRequest": _fields("""
        keyType KeyType
    """),
    "ServiceResponse": _fields(f"""
        createdAt date-time
        id string
        image Image
        manifest Manifest
        models [Model]
        name string
        scoringUri string
        state AsyncOperationState
        updatedAt date-time
        computeResource ComputeResource *
        error ErrorResponse
        {_CONFIGURATION}
    """),
    "ServiceUpdateRequest": _fields(f"""
        imageId string
        {_CONFIGURATION}
    """),
    "TargetRuntime": _fields("""
        properties {string} *
        runtimeType RuntimeType *
    """),
}  # fmt: skip
LISTS: Final = {"DeploymentList": "[Deployment]"}


def rows() -> Iterator[str]:
    """Yield the name of each part of the reference that a test must cover."""
    for route in (*ROUTES, *ADDED_ROUTES):
        yield f"route {route.name}"
        for parameter in (*EVERYWHERE, *route.parameters, *ADDED_PARAMETERS.get(route.name, ())):
            yield f"parameter {route.name} {parameter}"
        if route.body:
            yield f"body {route.name} {route.body}"
        for status in route.responses:
            yield f"status {route.name} {status}"
        yield f"status {route.name} default"
        for header in route.headers:
            yield f"header {route.name} {header}"
    for name in ("x-ms-request-id", "x-ms-client-request-id"):
        yield f"header {name}"
    for name, fields in DEFINITIONS.items():
        yield from (f"field {name}.{field.name}" for field in fields)
    for name, values in ENUMS.items():
        yield from (f"value {name} {value}" for value in values)
    yield from (f"definition {name}" for name in LISTS)
