"""`spec.pod` of a Service."""

from __future__ import annotations

from typing import Annotated, Final

from pydantic import Field

from modelyard.api.base import ApiType
from modelyard.api.pod.environment import Environment, EnvironmentSources
from modelyard.api.pod.resources import Resources
from modelyard.api.pod.runtime import RuntimeSettings
from modelyard.api.pod.scheduling import Affinity, Toleration, TopologySpread
from modelyard.api.pod.security import SecurityContext
from modelyard.api.pod.shapes import Annotations, LabelMap, Labels, LocalObjectReference, ObjectName
from modelyard.api.pod.volumes import VolumeMounts, Volumes
from modelyard.api.rules import Rule


def _mounts_are_of_volumes(pod: PodSettings) -> bool:
    return {mount.name for mount in pod.volume_mounts} <= {volume.name for volume in pod.volumes}


# A Deployment of the operator has its spec once more in an annotation, and annotations have at most 256 KiB.
_MAX_TEXT: Final = 32768


def _text_size(pod: PodSettings) -> int:
    values = [variable.value or "" for variable in pod.env]
    return sum(map(len, [*values, *(pod.annotations or {}).values()]))


class PodSettings(ApiType):
    """Settings of the pods of a Service, with the names and shapes of Kubernetes.

    Fields of a container are those of the scoring container.
    """

    rules = (
        Rule(
            cel="!has(self.volumeMounts) || self.volumeMounts.all(mount, has(self.volumes)"
            " && self.volumes.exists(volume, volume.name == mount.name))",
            message="each of volumeMounts must have the name of one of volumes",
            is_valid=_mounts_are_of_volumes,
            field=".volumeMounts",
        ),
        Rule(
            cel="(has(self.env) ? self.env.map(item, has(item.value) ? size(item.value) : 0).sum() : 0)"
            " + (has(self.annotations) ? self.annotations.map(key, size(self.annotations[key])).sum() : 0)"
            f" <= {_MAX_TEXT}",
            message=f"pod must not have more than {_MAX_TEXT} characters of values of env and annotations in"
            " total: put large values into a ConfigMap",
            is_valid=lambda pod: _text_size(pod) <= _MAX_TEXT,
        ),
    )

    env: Environment = ()
    """Environment variables of the driver."""
    env_from: EnvironmentSources = ()
    """Secrets and ConfigMaps, each key of which becomes an environment variable of the driver. `env` takes
    precedence."""
    resources: Resources | None = None
    """Resource limits of the driver, such as those of memory and GPUs."""
    volumes: Volumes = ()
    """Volumes of each pod: emptyDir, persistentVolumeClaim, secret, configMap and projected."""
    volume_mounts: VolumeMounts = ()
    """Paths of the volumes in the container of the driver."""
    node_selector: LabelMap | None = None
    """Labels of the nodes on which the pods may run. kubernetes.io/arch is always that of the image."""
    tolerations: Annotated[tuple[Toleration, ...], Field(max_length=50)] = ()
    """Taints of nodes that the pods tolerate."""
    affinity: Affinity | None = None
    """Nodes and other pods that attract or repel the pods."""
    topology_spread_constraints: Annotated[tuple[TopologySpread, ...], Field(max_length=10)] = ()
    """Spread of the pods over zones, nodes or other groups of nodes."""
    priority_class_name: ObjectName | None = None
    """PriorityClass of the pods, one of scoring.pod.priorityClassNames of the chart."""
    runtime_class_name: ObjectName | None = None
    """RuntimeClass of the pods, one of scoring.pod.runtimeClassNames of the chart."""
    service_account_name: ObjectName | None = None
    """ServiceAccount of the pods, one of scoring.pod.serviceAccountNames of the chart. Its token is only
    mounted by a projected volume."""
    image_pull_secrets: Annotated[tuple[LocalObjectReference, ...], Field(max_length=10)] = ()
    """Secrets to pull the image with, beside scoring.imagePullSecrets of the chart."""
    labels: Labels | None = None
    """Labels of the pods."""
    annotations: Annotations | None = None
    """Annotations of the pods."""
    security_context: SecurityContext | None = None
    """User, groups and seccomp profile of the pods."""
    runtime: RuntimeSettings | None = None
    """Settings of the scoring runtime."""
