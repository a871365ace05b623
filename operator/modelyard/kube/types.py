"""Resources of the Kubernetes API and their URL paths."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final, NamedTuple
from urllib.parse import quote

from modelyard.kube.errors import InvalidName

Json = dict[str, Any]


@dataclass(frozen=True)
class ApiResource:
    """A resource of the Kubernetes API."""

    api_version: str
    kind: str
    plural: str

    def path(self, namespace: str | None, name: str | None = None, subresource: str | None = None) -> str:
        """Return the URL path of a collection, an object or a subresource; None leaves a part out.

        Raises InvalidName for a part that Kubernetes accepts in no path, so that no name leads elsewhere.
        """
        root = "/apis/" if "/" in self.api_version else "/api/"
        scope = "" if namespace is None else f"/namespaces/{_segment(namespace)}"
        tail = "".join(f"/{_segment(part)}" for part in (name, subresource) if part is not None)
        return f"{root}{self.api_version}{scope}/{self.plural}{tail}"

    @cached_property
    def qualified(self) -> str:
        """Return plural.group, or plural in the core group. `services` alone would mean two resources."""
        group, slash, _ = self.api_version.partition("/")
        return f"{self.plural}.{group}" if slash else self.plural

    def header(self) -> Json:
        """Return apiVersion and kind, as they stand in an object."""
        return {"apiVersion": self.api_version, "kind": self.kind}


_PLAIN: Final = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)*")  # almost every name; a call of quote takes 3 µs


def _segment(text: str) -> str:
    """Return one segment of a URL path, quoted.

    The rule is IsValidPathSegmentName of k8s.io/apimachinery/pkg/api/validation/path. Quotes do not suffice:
    the API server decodes %2F before it splits the path.
    """
    if _PLAIN.fullmatch(text):
        return text
    if text in {"", ".", ".."} or "/" in text or "%" in text:
        message = f"{text[:100]!r} is not the name of an object: it is empty, . or .., or contains / or %"
        raise InvalidName(message, status=400, reason="InvalidName")
    return quote(text, safe="")


class Key(NamedTuple):
    """The kind, namespace and name of an object."""

    kind: str
    namespace: str
    name: str

    def __str__(self) -> str:
        """Return `Kind namespace/name`, as in log lines."""
        return f"{self.kind} {self.namespace}/{self.name}"


class Page(NamedTuple):
    """Some objects of a collection, and the token of the next page, None on the last page."""

    items: list[Json]
    continue_token: str | None
    resource_version: str = ""  # of the whole collection: a watch can start from there
    next_limit: int = 1  # number of objects that are about 4 MiB, by the mean size of these


API_SERVICES: Final = ApiResource("apiregistration.k8s.io/v1", "APIService", "apiservices")
CONFIG_MAPS: Final = ApiResource("v1", "ConfigMap", "configmaps")
CRON_JOBS: Final = ApiResource("batch/v1", "CronJob", "cronjobs")
DAEMON_SETS: Final = ApiResource("apps/v1", "DaemonSet", "daemonsets")
DEPLOYMENTS: Final = ApiResource("apps/v1", "Deployment", "deployments")
DISRUPTION_BUDGETS: Final = ApiResource("policy/v1", "PodDisruptionBudget", "poddisruptionbudgets")
ENDPOINT_SLICES: Final = ApiResource("discovery.k8s.io/v1", "EndpointSlice", "endpointslices")
EVENTS: Final = ApiResource("events.k8s.io/v1", "Event", "events")
AUTOSCALERS: Final = ApiResource("autoscaling/v2", "HorizontalPodAutoscaler", "horizontalpodautoscalers")
GATEWAYS: Final = ApiResource("gateway.networking.k8s.io/v1", "Gateway", "gateways")
HTTP_ROUTES: Final = ApiResource("gateway.networking.k8s.io/v1", "HTTPRoute", "httproutes")
INGRESSES: Final = ApiResource("networking.k8s.io/v1", "Ingress", "ingresses")
JOBS: Final = ApiResource("batch/v1", "Job", "jobs")
LEASES: Final = ApiResource("coordination.k8s.io/v1", "Lease", "leases")
NAMESPACES: Final = ApiResource("v1", "Namespace", "namespaces")
PODS: Final = ApiResource("v1", "Pod", "pods")
REPLICA_SETS: Final = ApiResource("apps/v1", "ReplicaSet", "replicasets")
REVISIONS: Final = ApiResource("apps/v1", "ControllerRevision", "controllerrevisions")
SERVICE_ACCOUNTS: Final = ApiResource("v1", "ServiceAccount", "serviceaccounts")
ACCESS_REVIEWS: Final = ApiResource("authorization.k8s.io/v1", "SubjectAccessReview", "subjectaccessreviews")
SECRETS: Final = ApiResource("v1", "Secret", "secrets")
STATEFUL_SETS: Final = ApiResource("apps/v1", "StatefulSet", "statefulsets")
CORE_SERVICES: Final = ApiResource("v1", "Service", "services")
