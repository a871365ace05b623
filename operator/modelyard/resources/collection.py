"""Builder of the side-car that collects the records of a replica, and of the parts of its pod.

The scoring container appends records to a folder, the spool, and the side-car sends them to their
destinations. The side-car alone mounts the Secret with the credentials. It is an init container that keeps
running, so the kubelet ends it after the scoring container, and it can send the last records.
https://kubernetes.io/docs/concepts/workloads/pods/sidecar-containers/
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final, NamedTuple

import orjson

from modelyard.api import labels
from modelyard.api.data_collection import MAX_BODY_BYTES, SAMPLING_PERCENT, ModelDataCollection
from modelyard.api.owners import Owner
from modelyard.api.pod.volumes import COLLECTION_STATE_VOLUME, COLLECTION_VOLUME, DESTINATION_VOLUME
from modelyard.api.service import ServiceSpec
from modelyard.contract.collection_pod import (
    COMMAND,
    CONTAINER,
    DESTINATION_DIR,
    PORT,
    PORT_NAME,
    SPOOL_DIR,
    STATE_DIR,
    CollectorVariable,
)
from modelyard.kube.quantity import format_quantity
from modelyard.kube.types import Json
from modelyard.scoring.contract import Variable
from modelyard.settings import DataCollectionSettings

_STATE_SIZE: Final = "256Mi"  # a journal of kilobytes, and temporary files
_SPOOL_SPARE_BYTES: Final = 64 * 1024 * 1024
"""Room beyond the limit of the records: the kubelet evicts a pod whose folder is larger."""
_MOUNTS: Final = (
    {"name": COLLECTION_VOLUME, "mountPath": SPOOL_DIR},
    {"name": COLLECTION_STATE_VOLUME, "mountPath": STATE_DIR},
    {"name": DESTINATION_VOLUME, "mountPath": DESTINATION_DIR, "readOnly": True},
)


class CollectionParts(NamedTuple):
    """The parts of a pod template that data collection adds, all of them empty without the feature."""

    containers: list[Json]
    volumes: list[Json]
    mounts: list[Json]  # of the scoring container
    variables: list[Json]  # of the scoring container
    flush_seconds: int


_NONE: Final = CollectionParts([], [], [], [], 0)


def is_offered(spec: ServiceSpec, settings: DataCollectionSettings) -> bool:
    """Return whether records of a Service may have one of the destinations that its spec enables."""
    collection = spec.data_collection or ModelDataCollection()
    return (collection.storage_enabled and settings.offers_storage) or (
        collection.event_hub_enabled and settings.offers_event_hub
    )


def collection_parts(
    owner: Owner, spec: ServiceSpec, image: str, settings: DataCollectionSettings | None
) -> CollectionParts:
    """Return the parts of the pods of a Service with this image, which is pinned by digest."""
    collection = spec.data_collection
    if settings is None or collection is None or not is_offered(spec, settings):
        return _NONE
    return CollectionParts(
        containers=[_collector(owner, collection, image, settings)],
        volumes=_volumes(settings),
        mounts=[_MOUNTS[0]],
        variables=[_variable(name, value) for name, value in _front_values(collection, settings).items()],
        flush_seconds=settings.flush_seconds,
    )


def _volumes(settings: DataCollectionSettings) -> list[Json]:
    spool = {"sizeLimit": format_quantity(Decimal(settings.spool_bytes + _SPOOL_SPARE_BYTES))}
    # Optional: pods start without the Secret, and the condition DataCollection tells of it.
    secret = {"secretName": settings.secret_name, "defaultMode": 0o440, "optional": True}
    return [
        {"name": COLLECTION_VOLUME, "emptyDir": spool},
        {"name": COLLECTION_STATE_VOLUME, "emptyDir": {"sizeLimit": _STATE_SIZE}},
        *([{"name": DESTINATION_VOLUME, "secret": secret}] if settings.secret_name else []),
    ]


def _front_values(collection: ModelDataCollection, settings: DataCollectionSettings) -> dict[str, object]:
    return {
        Variable.COLLECTION_DIR: SPOOL_DIR,
        Variable.COLLECTION_SPOOL_BYTES: settings.spool_bytes,
        Variable.COLLECTION_SAMPLE_PERCENT: collection.sampling_percent or SAMPLING_PERCENT,
        Variable.COLLECTION_MAX_BODY_BYTES: collection.max_body_bytes or MAX_BODY_BYTES,
    }


def _collector(
    owner: Owner, collection: ModelDataCollection, image: str, settings: DataCollectionSettings
) -> Json:
    values: dict[str, object] = {
        CollectorVariable.SPOOL_DIR: SPOOL_DIR,
        CollectorVariable.SPOOL_BYTES: settings.spool_bytes,
        CollectorVariable.STATE_DIR: STATE_DIR,
        CollectorVariable.DESTINATION_DIR: DESTINATION_DIR if settings.secret_name else "",
        CollectorVariable.PORT: PORT,
        CollectorVariable.SERVICE: owner.name,
        CollectorVariable.IMAGE_DIGEST: image.partition("@")[2],
        CollectorVariable.STORAGE: _flag(collection.storage_enabled),
        CollectorVariable.EVENT_HUB: _flag(collection.event_hub_enabled),
        CollectorVariable.LEAVE_OUT: _json(collection.leave_out),
        CollectorVariable.HASH: _json(collection.hash),
        CollectorVariable.PLATFORM: _json(_platform(settings)),
        "TMPDIR": STATE_DIR,
    }
    fields = {
        CollectorVariable.NAMESPACE: "metadata.namespace",
        CollectorVariable.POD: "metadata.name",
        CollectorVariable.VERSION: f"metadata.labels['{labels.POD_VERSION}']",
        CollectorVariable.MODEL_IDS: f"metadata.annotations['{labels.POD_MODELS}']",
    }
    mounts = _MOUNTS if settings.secret_name else _MOUNTS[:2]
    return {
        "name": CONTAINER,
        "image": settings.image,
        "imagePullPolicy": settings.image_pull_policy,
        "restartPolicy": "Always",
        "args": [COMMAND],
        "ports": [{"name": PORT_NAME, "containerPort": PORT, "protocol": "TCP"}],
        "env": [
            *(_variable(name, value) for name, value in values.items()),
            *(
                {"name": name, "valueFrom": {"fieldRef": {"fieldPath": path}}}
                for name, path in fields.items()
            ),
            *settings.extra_env,
        ],
        "resources": settings.resources,
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        },
        "volumeMounts": list(mounts),
    }


def _platform(settings: DataCollectionSettings) -> Json:
    fields = {"storage", "event_hub", "batch_seconds", "batch_bytes", "flush_seconds"}
    return settings.model_dump(mode="json", by_alias=True, include=fields)


def _variable(name: str, value: object) -> Json:
    """Return a variable; the API server omits an empty value."""
    text = str(value)
    return {"name": str(name), "value": text} if text else {"name": str(name)}


def _flag(value: bool) -> str:
    return "true" if value else "false"


def _json(value: object) -> str:
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS).decode()
