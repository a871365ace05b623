"""What the API server can answer besides what was asked for.

KubeError
├── NotFound        404
├── AlreadyExists   409 on a create
├── Conflict        409 on a change
├── Refused         400, 401, 403, 405, 413, 422: the same request will be refused again
│   ├── Denied      401, 403 of RBAC: perhaps not, a moment after the API server's start
│   └── Terminating 403: the namespace is being deleted, with all that is in it
├── Gone            410: the watch's resourceVersion has expired
└── Unavailable     429, 5xx, no connection, no answer in time: worth another try
"""

from __future__ import annotations

import re
from typing import Any, Final

_TERMINATING: Final = "NamespaceTerminating"  # a cause: k8s.io/api/core/v1, NamespaceTerminatingCause
_RBAC: Final = re.compile(r'is forbidden: User ".*" cannot ')


class KubeError(Exception):
    """An answer of the API server that is not success; `reason` is metav1.Status's."""

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
        self.body = body or {}  # the whole metav1.Status


class NotFound(KubeError):
    """The object, or its namespace, does not exist."""


class AlreadyExists(KubeError):
    """An object of that name exists."""


class Conflict(KubeError):
    """The object changed in between."""


class Rejected(KubeError):
    """The request is not allowed or not valid."""


class Forbidden(Rejected):
    """RBAC says no; an API server that has just started does so too, until it has read the rules."""


class NamespaceTerminating(Rejected):
    """Nothing can be created in a namespace that is being deleted."""


class Gone(KubeError):
    """The resourceVersion is too old to watch from."""


class Unavailable(KubeError):
    """The API server did not answer, or asked to come back later."""


def from_status(status: int, body: dict[str, Any], retry_after: float | None) -> KubeError:
    """The error of an HTTP status and a metav1.Status body."""
    reason = str(body.get("reason", ""))
    message = str(body.get("message", "")) or f"the API server answered {status}"
    chosen: type[KubeError]
    if status == 404:
        chosen = NotFound
    elif status == 409:
        chosen = AlreadyExists if reason == "AlreadyExists" else Conflict
    elif status == 410:
        chosen = Gone
    elif status == 429 or status >= 500:
        chosen = Unavailable
    elif status == 403 and _TERMINATING in _causes(body):
        chosen = NamespaceTerminating
    elif status == 401 or (status == 403 and _RBAC.search(message)):
        chosen = Forbidden
    else:
        chosen = Rejected
    return chosen(message, status=status, reason=reason, retry_after=retry_after, body=body)


def _causes(body: dict[str, Any]) -> set[str]:
    causes = (body.get("details") or {}).get("causes") or ()
    return {str(cause.get("reason")) for cause in causes}
