"""Builder of the pod template of a Service, from its spec, its image and the platform's settings."""

from __future__ import annotations

from typing import Final, NamedTuple

from modelyard.api import labels
from modelyard.api.owners import Owner
from modelyard.api.pod.volumes import KEYS_VOLUME, TMP_DIR, TMP_VOLUME
from modelyard.api.service import ServiceSpec
from modelyard.kube.merge import fingerprint
from modelyard.kube.types import Json
from modelyard.resources.architecture import limit_architectures
from modelyard.resources.collection import CollectionParts, collection_parts
from modelyard.resources.limits import container_resources
from modelyard.resources.pod_settings import effective_settings
from modelyard.resources.runtime_variables import runtime_variables
from modelyard.scoring.contract import KEYS_DIR, LIVE_PATH, PORT, READY_PATH, Variable
from modelyard.settings import DataCollectionSettings, ScoringSettings

CONTAINER: Final = "scoring"


class ScoringImage(NamedTuple):
    """The image of the pods of a Service."""

    location: str  # pinned by digest
    architectures: tuple[str, ...] = ()  # such as `amd64`; without any, its pods run on any node


class PodOrigin(NamedTuple):
    """The version that started a pod. Its marks are no part of the hash of the template.

    So a version that changes only replicas replaces no pods.
    """

    version: str | None  # None for pods of a release without this label
    model_ids: str | None = None  # a JSON list, None for pods that collect no records


def pod_template(
    owner: Owner,
    spec: ServiceSpec,
    image: ScoringImage,
    scoring: ScoringSettings,
    collection: DataCollectionSettings | None = None,
) -> Json:
    """Return the pod template, with its hash as an annotation.

    Without settings of data collection, the pods collect no records.
    """
    parts = collection_parts(owner, spec, image.location, collection)
    template = _template(owner, spec, image, scoring, parts)
    own = {labels.TEMPLATE_HASH: fingerprint(template)}
    template["metadata"]["annotations"] = template["metadata"].get("annotations", {}) | own
    return template


def origin_of(template: Json) -> PodOrigin:
    """Return the origin of pods by the labels and annotations of their template."""
    metadata = template["metadata"]
    version = metadata.get("labels", {}).get(labels.POD_VERSION)
    return PodOrigin(version, metadata.get("annotations", {}).get(labels.POD_MODELS))


def mark_origin(template: Json, origin: PodOrigin) -> Json:
    """Return a copy of a pod template with the marks of an origin, and without those of another one."""
    metadata = template["metadata"]
    marks = {
        "labels": {labels.POD_VERSION: origin.version},
        "annotations": {labels.POD_MODELS: origin.model_ids},
    }
    marked = {name: _replaced(metadata.get(name, {}), values) for name, values in marks.items()}
    return template | {"metadata": metadata | {name: value for name, value in marked.items() if value}}


def _replaced(values: Json, changes: Json) -> Json:
    """Return values with other ones for some keys; None removes a key."""
    return {key: value for key, value in (values | changes).items() if value is not None}


def _template(
    owner: Owner,
    spec: ServiceSpec,
    image: ScoringImage,
    scoring: ScoringSettings,
    collection: CollectionParts,
) -> Json:
    settings = effective_settings(spec.pod, scoring)
    probe = {"httpGet": {"path": READY_PATH, "port": "http"}, "timeoutSeconds": 5}
    volumes: list[Json] = [
        {"name": KEYS_VOLUME, "secret": {"secretName": labels.keys_name(owner.name), "defaultMode": 0o440}},
        {"name": TMP_VOLUME, "emptyDir": {"sizeLimit": scoring.tmp_size}},
        *collection.volumes,
        *settings.get("volumes", ()),
    ]
    grace_seconds = scoring.pre_stop_seconds + scoring.drain_seconds + 5 + collection.flush_seconds
    return {
        "metadata": {
            "labels": settings.get("labels", {}) | labels.labels_of(owner.kind, owner.name),
            **_present(annotations=settings.get("annotations")),
        },
        "spec": {
            **_placement(owner, image, settings),
            "automountServiceAccountToken": False,
            "enableServiceLinks": False,
            "imagePullSecrets": settings.get("imagePullSecrets", []),
            "terminationGracePeriodSeconds": grace_seconds,
            "securityContext": settings["securityContext"],
            **_present(initContainers=collection.containers),
            "containers": [
                {
                    "name": CONTAINER,
                    "image": image.location,
                    "imagePullPolicy": "IfNotPresent",
                    "ports": [{"name": "http", "containerPort": PORT, "protocol": "TCP"}],
                    "env": [
                        *_environment(owner, spec, settings, scoring),
                        *collection.variables,
                        *settings.get("env", ()),
                    ],
                    **_present(envFrom=settings.get("envFrom")),
                    "resources": container_resources(spec, scoring, volumes, settings.get("resources", {})),
                    # No startup probe: it would delay readiness by half a second. The server answers the
                    # liveness probe while init() runs.
                    "readinessProbe": probe | {"periodSeconds": 1, "failureThreshold": 5},
                    "livenessProbe": probe
                    | {
                        "httpGet": {"path": LIVE_PATH, "port": "http"},
                        "periodSeconds": 10,
                        "failureThreshold": 6,
                    },
                    # Endpoints must drop the pod before the server gets SIGTERM and stops listening.
                    **_pre_stop(scoring.pre_stop_seconds),
                    "securityContext": {
                        "allowPrivilegeEscalation": False,
                        "readOnlyRootFilesystem": True,
                        "capabilities": {"drop": ["ALL"]},
                    },
                    "volumeMounts": [
                        {"name": KEYS_VOLUME, "mountPath": KEYS_DIR, "readOnly": True},
                        {"name": TMP_VOLUME, "mountPath": TMP_DIR},
                        *collection.mounts,
                        *settings.get("volumeMounts", ()),
                    ],
                }
            ],
            "volumes": volumes,
        },
    }


def _placement(owner: Owner, image: ScoringImage, settings: Json) -> Json:
    """Return the fields of a pod that choose its node, its priority, its runtime and its ServiceAccount."""
    selector, affinity = limit_architectures(
        settings.get("nodeSelector", {}), settings.get("affinity", {}), image.architectures
    )
    replicas = {"labelSelector": {"matchLabels": labels.selector_of(owner.name)}}
    spread = [replicas | each for each in settings.get("topologySpreadConstraints", ())]
    return _present(
        nodeSelector=selector,
        tolerations=settings.get("tolerations"),
        affinity=affinity,
        topologySpreadConstraints=spread,
        priorityClassName=settings.get("priorityClassName"),
        runtimeClassName=settings.get("runtimeClassName"),
        serviceAccountName=settings.get("serviceAccountName"),
    )


def _present(**fields: object) -> Json:
    """Return the fields that are not empty: an empty one would change the template of each Service."""
    return {name: value for name, value in fields.items() if value}


def _pre_stop(seconds: int) -> Json:
    """Return the hook that delays SIGTERM, empty for 0 seconds, which Kubernetes before 1.33 refuses.

    https://kubernetes.io/docs/concepts/containers/container-lifecycle-hooks/#hook-handler-implementations
    """
    return {"lifecycle": {"preStop": {"sleep": {"seconds": seconds}}}} if seconds else {}


def _environment(owner: Owner, spec: ServiceSpec, settings: Json, scoring: ScoringSettings) -> list[Json]:
    """Return the container's environment variables."""
    values = {
        Variable.PORT: PORT,
        Variable.KEYS_DIR: KEYS_DIR,
        Variable.MAX_CONCURRENT_REQUESTS: spec.max_concurrent_requests_per_container,
        Variable.DRAIN_SECONDS: scoring.drain_seconds,
        Variable.SCORING_TIMEOUT_MS: scoring.scoring_timeout_ms,
        Variable.WORKERS: scoring.workers,
        Variable.INIT_SECONDS: scoring.progress_deadline_seconds,
        **runtime_variables(settings.get("runtime", {})),
    }
    # Spark sizes Java's heap by the memory request: the scheduler guarantees no memory beyond it.
    memory = {"resourceFieldRef": {"resource": "requests.memory"}}
    return [
        *({"name": name, "value": str(value)} for name, value in values.items()),
        {"name": Variable.MEMORY_BYTES, "valueFrom": memory},
        *_telemetry(owner, spec, scoring),
    ]


def _telemetry(owner: Owner, spec: ServiceSpec, scoring: ScoringSettings) -> list[Json]:
    """Return the variables that turn traces on, if the spec enables them and a destination is set."""
    destinations: list[Json] = []
    if scoring.otlp_endpoint:
        destinations.append({"name": Variable.OTLP_ENDPOINT, "value": scoring.otlp_endpoint})
    if scoring.app_insights_secret:
        # Optional: in a namespace without the Secret pods start all the same, log a warning, send no traces.
        secret = {
            "name": scoring.app_insights_secret,
            "key": scoring.app_insights_secret_key,
            "optional": True,
        }
        destinations.append({"name": Variable.CONNECTION_STRING, "valueFrom": {"secretKeyRef": secret}})
    if not (spec.app_insights_enabled and destinations):
        return []
    return [
        {"name": Variable.TELEMETRY, "value": "true"},
        {"name": Variable.SERVICE_NAME, "value": owner.name},
        *destinations,
    ]
