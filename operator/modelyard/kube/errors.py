"""Errors of the API server's responses.

KubeError
├── NotFound        404
├── AlreadyExists   409 on a create
├── Conflict        409 on an update
├── Rejected        400, 401, 403, 405, 413, 422: the same request will be rejected again
│   ├── InvalidName  no request is sent: a name that Kubernetes accepts in no path
│   ├── Immutable   422 for a field that cannot change
│   ├── Forbidden   401, and 403 of RBAC: may pass soon after the start of the API server
│   └── NamespaceTerminating  403: the namespace and everything in it is being deleted
├── Gone            410: the resourceVersion or the continue token has expired
└── Unavailable     429, 5xx, no connection, no response in time: the same request may succeed later
"""

from __future__ import annotations

import re
from typing import Any, Final

_TERMINATING: Final = (
    "NamespaceTerminating"  # cause of a Status: k8s.io/api/core/v1, NamespaceTerminatingCause
)
_IMMUTABLE: Final = "field is immutable"  # k8s.io/apimachinery/pkg/api/validation, FieldImmutableErrorMsg
_RBAC: Final = re.compile(r'is forbidden: User ".*" cannot ')


class KubeError(Exception):
    """An error response of the API server. `reason` and `body` are those of its metav1.Status.

    `status` is the HTTP status, 0 without a response; `retry_after` is in seconds.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int = 0,
        reason: str = "",
        retry_after: float | None = None,
        body: dict[str, Any] | None = None,
    ):
        super().__init__(message)
        self.message = message
        self.status = status
        self.reason = reason
        self.retry_after = retry_after
        self.body = body or {}


class NotFound(KubeError):
    """The object, or its namespace, does not exist."""


class AlreadyExists(KubeError):
    """An object of the same name exists."""


class Conflict(KubeError):
    """The object has changed since it was read."""


class Rejected(KubeError):
    """The request is not valid or not allowed."""


class InvalidName(Rejected):
    """A name or a namespace cannot be a segment of a URL path; the client sends no request."""


class Immutable(Rejected):
    """The request changes a field that cannot change after the creation of the object."""


class Forbidden(Rejected):
    """RBAC denies the request. A starting API server denies all requests until it has read the rules."""


class NamespaceTerminating(Rejected):
    """The namespace is being deleted, so no object can be created in it."""


class Gone(KubeError):
    """The resourceVersion of a watch, or the continue token of a list, has expired."""


class Unavailable(KubeError):
    """The API server did not respond, or cannot handle the request now."""


def is_denial(error: KubeError) -> bool:
    """Return True if the API server answered 403 or 404: the resource or its namespace is not accessible."""
    return error.status in {403, 404}


def from_status(status: int, body: dict[str, Any], retry_after: float | None) -> KubeError:
    """Return the error of an HTTP status and a metav1.Status."""
    reason = str(body.get("reason", ""))
    message = str(body.get("message", "")) or f"the API server answered {status}"
    error_class: type[KubeError]
    if status == 404:
        error_class = NotFound
    elif status == 409:
        error_class = AlreadyExists if reason == "AlreadyExists" else Conflict
    elif status == 410:
        error_class = Gone
    elif status == 429 or status >= 500:
        error_class = Unavailable
    elif status == 403 and _TERMINATING in _causes(body):
        error_class = NamespaceTerminating
    elif status == 422 and _IMMUTABLE in message:
        error_class = Immutable
    elif status == 401 or (status == 403 and _RBAC.search(message)):
        error_class = Forbidden
    else:
        error_class = Rejected
    return error_class(message, status=status, reason=reason, retry_after=retry_after, body=body)


def _causes(body: dict[str, Any]) -> set[str]:
    causes = (body.get("details") or {}).get("causes") or ()
    return {str(cause.get("reason")) for cause in causes}
