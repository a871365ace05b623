"""The errors of the REST API: status, code and way out of each one. docs/reference.md has them as a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class ErrorCode:
    """One error of the gateway. The message of a response comes from the code that raises it."""

    status: int
    code: str
    way_out: str
    """The next step of the client's author, for docs/reference.md."""
    kind: str = ""
    """The kind of the missing object, by its name in `api.kinds` for a custom resource."""


INVALID_REQUEST: Final = ErrorCode(400, "InvalidRequest", "Correct the fields in `details`.")
INVALID_JSON: Final = ErrorCode(
    400, "InvalidJson", "Send valid JSON. The message has the place of the error."
)
MISSING_API_VERSION: Final = ErrorCode(400, "MissingApiVersion", "Send `api-version=2017-09-01-preview`.")
UNKNOWN_API_VERSION: Final = ErrorCode(400, "UnknownApiVersion", "Send `api-version=2017-09-01-preview`.")
INVALID_SKIP_TOKEN: Final = ErrorCode(
    400, "InvalidSkipToken", "Begin at the first page, and follow `nextLink` unchanged. A token expires."
)
TOO_MANY_DEPLOYMENTS: Final = ErrorCode(
    400, "TooManyDeployments", "Set `serviceId`, to list the deployments of one service."
)
_REGISTER: Final = "In a POST or PUT: register the object first, or correct the id."
MODEL_NOT_REGISTERED: Final = ErrorCode(400, "ModelNotFound", _REGISTER, "Model")
MANIFEST_NOT_REGISTERED: Final = ErrorCode(400, "ManifestNotFound", _REGISTER, "Manifest")
IMAGE_NOT_REGISTERED: Final = ErrorCode(400, "ImageNotFound", _REGISTER, "Image")
UNAUTHORIZED: Final = ErrorCode(401, "Unauthorized", "Sign in again, and send the new token.")
FORBIDDEN: Final = ErrorCode(
    403,
    "Forbidden",
    "Get the right in the message. A starting API server denies every request: the gateway repeats a denied"
    " request for up to 6 s, while `/readyz` fails.",
)
_PATH: Final = "Check the id in the path."
ACCOUNT_NOT_FOUND: Final = ErrorCode(
    404,
    "AccountNotFound",
    "Check the path: the account is a namespace, and its labels may name another subscription or group.",
)
MODEL_NOT_FOUND: Final = ErrorCode(404, "ModelNotFound", _PATH, "Model")
MANIFEST_NOT_FOUND: Final = ErrorCode(404, "ManifestNotFound", _PATH, "Manifest")
IMAGE_NOT_FOUND: Final = ErrorCode(404, "ImageNotFound", _PATH, "Image")
SERVICE_NOT_FOUND: Final = ErrorCode(404, "ServiceNotFound", _PATH, "Service")
DEPLOYMENT_NOT_FOUND: Final = ErrorCode(404, "DeploymentNotFound", _PATH, "Deployment")
OPERATION_NOT_FOUND: Final = ErrorCode(404, "OperationNotFound", _PATH, "Operation")
KEYS_NOT_FOUND: Final = ErrorCode(
    404, "KeysNotFound", "Wait: the operator creates the keys with the first image of the service."
)
NOT_FOUND: Final = ErrorCode(404, "NotFound", "The object was deleted during the request: check the id.")
ROUTE_NOT_FOUND: Final = ErrorCode(404, "RouteNotFound", "Check the path: `/docs` lists every route.")
METHOD_NOT_ALLOWED: Final = ErrorCode(405, "MethodNotAllowed", "Use a method in the header `Allow`.")
NAME_TAKEN: Final = ErrorCode(409, "NameTaken", "Update the service, or choose another name.")
IMAGE_NOT_READY: Final = ErrorCode(
    409, "ImageNotReady", "Wait until the operation of the image has succeeded."
)
CONFLICT: Final = ErrorCode(
    409, "Conflict", "Another client replaced a key at the same time: read the keys, or try again."
)
REQUEST_TOO_LARGE: Final = ErrorCode(413, "RequestTooLarge", "Send at most 2 MiB: give large files a URL.")
UNSUPPORTED_MEDIA_TYPE: Final = ErrorCode(415, "UnsupportedMediaType", "Send `application/json`.")
_AGAIN: Final = "Send the request again after `Retry-After` seconds."
TOO_MANY_REQUESTS: Final = ErrorCode(429, "TooManyRequests", _AGAIN)
UNAVAILABLE: Final = ErrorCode(503, "Unavailable", f"The API server does not answer. {_AGAIN}")
BUSY: Final = ErrorCode(503, "Busy", f"Nothing was written. {_AGAIN}")
NOT_RECORDED: Final = ErrorCode(
    503, "NotRecorded", "Check whether the version is listed before you send the request again."
)
INTERNAL_ERROR: Final = ErrorCode(500, "InternalError", "Report the error with its `x-ms-request-id`.")

NOT_FOUND_BY_KIND: Final = {
    error.kind: error for error in (MODEL_NOT_FOUND, MANIFEST_NOT_FOUND, IMAGE_NOT_FOUND)
}
NOT_REGISTERED_BY_KIND: Final = {
    error.kind: error for error in (MODEL_NOT_REGISTERED, MANIFEST_NOT_REGISTERED, IMAGE_NOT_REGISTERED)
}
