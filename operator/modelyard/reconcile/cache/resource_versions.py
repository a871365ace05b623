"""Comparison of resource versions, which are integers that grow with each write.

https://kubernetes.io/docs/reference/using-api/api-concepts/#resource-versions
"""

from __future__ import annotations

from modelyard.kube.types import Json


def is_older(metadata: Json, resource_version: int) -> bool:
    """Return True if metadata of a deleted object are older than a cached resource version.

    An object of the same name may have been created while the event of the deletion was on its way. Metadata
    without a resource version are those of an object that the operator itself found deleted.
    """
    return int(metadata.get("resourceVersion", resource_version)) < resource_version
