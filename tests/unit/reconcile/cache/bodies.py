"""Objects named m in the namespace default, as the API server sends them to the cache."""

from __future__ import annotations

from typing import Any

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.kube.types import JOBS, Json, Key
from modelyard.resources.revision import controller_revision, metadata

MODEL, MANIFEST, IMAGE, SERVICE = (
    Key(kind, "default", "m") for kind in ("Model", "Manifest", "Image", "Service")
)


def custom_object(
    resource_version: int, kind: str = "Model", uid: str = "u1", generation: int = 1, **fields: Any
) -> Json:
    """A custom resource; `fields` may add to its metadata."""
    meta = {"name": "m", "namespace": "default", "uid": uid, "generation": generation}
    meta |= {"resourceVersion": str(resource_version)} | fields.pop("metadata", {})
    return {"kind": kind, "metadata": meta} | fields


def revision_body(
    version: int, resource_version: int, owner_uid: str = "u1", annotations: Json | None = None
) -> Json:
    """A ControllerRevision of the Model m."""
    body = controller_revision(
        Owner("Model", "m", owner_uid), version, {"url": str(version)}, annotations or {}
    )
    body["metadata"] |= {
        "namespace": "default",
        "resourceVersion": str(resource_version),
        "creationTimestamp": "2026-01-01T00:00:00Z",
    }
    return body


def child(resource_version: int, uid: str = "c1", owner_uid: str = "u1", **fields: Any) -> Json:
    """A child of the Service m, without a status; `fields` may add to its metadata."""
    meta = metadata(Owner("Service", "m", owner_uid), "m")
    meta |= {"namespace": "default", "uid": uid, "resourceVersion": str(resource_version)}
    return {"metadata": meta | fields.pop("metadata", {})} | fields


def deployment(
    resource_version: int,
    generation: int = 1,
    available: int = 0,
    progressing: str = "ReplicaSetUpdated",
    uid: str = "c1",
) -> Json:
    """A Deployment of the Service m with a status; `progressing` is the reason of its condition."""
    conditions = [{"type": "Progressing", "reason": progressing, "message": f"it is {progressing}"}]
    status = {"availableReplicas": available, "observedGeneration": generation, "conditions": conditions}
    meta = {"generation": generation}
    return child(resource_version, uid, metadata=meta, spec={"replicas": 1}, status=status)


def build_job(name: str, version: int, **conditions: str) -> Json:
    """A build Job of the Image m; `conditions` maps the type of a true condition to its reason."""
    annotations = {
        labels.BUILD_IMAGE: "default/m",
        labels.BUILD_VERSION: str(version),
        labels.BUILD_ATTEMPT: "1",
    }
    status = [{"type": key, "status": "True", "reason": value} for key, value in conditions.items()]
    return {
        **JOBS.header(),
        "metadata": {"name": name, "uid": name, "annotations": annotations},
        "status": {"conditions": status},
    }
