"""Labels, annotations and derived names of objects.

No other module spells them.
Recommended labels: https://kubernetes.io/docs/concepts/overview/working-with-objects/common-labels/
"""

from __future__ import annotations

import hashlib
import re
from typing import Final, NamedTuple

from modelyard.api.kinds import KINDS
from modelyard.api.names import GROUP, is_object_name
from modelyard.kube.types import Json

SERVICE: Final = f"{GROUP}/service"  # on the children and pods of a Service: its name
MANAGED_BY: Final = "app.kubernetes.io/managed-by"
MANAGER: Final = "modelyard"
SELECTOR: Final = f"{MANAGED_BY}={MANAGER}"
COMPONENT: Final = "app.kubernetes.io/component"
BUILD: Final = "build"
BUILDS: Final = f"{SELECTOR},{COMPONENT}={BUILD}"
JOB_NAME: Final = "batch.kubernetes.io/job-name"  # on a pod, set by the Job controller

APPLIED_HASH: Final = f"{GROUP}/applied"  # on a child: hash of its desired state
APPLIED_SPEC: Final = f"{GROUP}/applied-spec"  # on a Deployment: its desired spec at the last write, as JSON
TEMPLATE_INPUTS: Final = (
    f"{GROUP}/template-inputs"  # on a Deployment: hash of a version's part of its template
)
TEMPLATE_HASH: Final = f"{GROUP}/template"  # on a pod: hash of its template
POD_VERSION: Final = f"{GROUP}/version"  # on a pod of a Service: the version that started the pod
POD_MODELS: Final = f"{GROUP}/model-ids"  # on a pod that collects records: ids of its models, a JSON list
KEYS_REFRESHED: Final = f"{GROUP}/keys-refreshed"  # on a pod: time at which its keys were to be mounted again

# On a ControllerRevision, about its operation:
STATE: Final = f"{GROUP}/state"
ENDED: Final = f"{GROUP}/ended"
ERROR: Final = f"{GROUP}/error"
ATTEMPTS: Final = f"{GROUP}/attempts"
COUNTED_ATTEMPTS: Final = f"{GROUP}/counted-attempts"  # failed attempts that count as build.attempts
RETRY: Final = f"{GROUP}/retry"  # another attempt follows
SETTINGS_HASH: Final = f"{GROUP}/failed-with-settings"  # hash of the settings that the failure depends on
IMAGE_LOCATION: Final = f"{GROUP}/image-location"
IMAGE_ARCHITECTURE: Final = f"{GROUP}/image-architecture"  # as in kubernetes.io/arch, several with commas
IMAGE_RELEASED: Final = (
    f"{GROUP}/image-given-up"  # its image was released; a Service that needs it gets it built again
)
IMAGE_LOST: Final = f"{GROUP}/image-lost"  # the registry no longer has its image, which is built again
BUILD_TIMES: Final = f"{GROUP}/build-times"  # ends of the steps of its build, as JSON
BUILD_LOG: Final = f"{GROUP}/build-log"
REFERENCED: Final = f"{GROUP}/referenced-content"  # hashes of the content that the version's ids refer to
ABOUT: Final = f"{GROUP}/about"  # description and tags of the version, as JSON

# On a build Job:
BUILD_IMAGE: Final = f"{GROUP}/image"  # namespace/name
BUILD_VERSION: Final = f"{GROUP}/version"
BUILD_ATTEMPT: Final = f"{GROUP}/attempt"
BUILD_REFERENCE: Final = f"{GROUP}/reference"  # registry/path:tag that the build pushes

# On an EndpointSlice; the first two are labels of Kubernetes:
SLICE_SERVICE: Final = "kubernetes.io/service-name"
SLICE_MANAGED_BY: Final = "endpointslice.kubernetes.io/managed-by"  # other controllers leave the slice alone
SLICE_MANAGER: Final = "modelyard-scaler"
KUBERNETES_SLICE_MANAGER: Final = "endpointslice-controller.k8s.io"
"""Kubernetes takes over each EndpointSlice of a core Service with this value: only pods stay in it."""
ACTIVATOR_SLICES: Final = f"{SLICE_MANAGED_BY}={SLICE_MANAGER}"
ACTIVATION: Final = f"{GROUP}/activation"  # the fate of requests at the activator
ACTIVATION_WAKE: Final = "wake"  # hold them, and start a replica
ACTIVATION_NONE: Final = "none"  # refuse them: numReplicas is 0
ACTIVATOR_PORTS: Final = range(20000, 30000)
"""Ports of the activator, one for each Service without a replica; below those of outgoing connections."""
PORT_NAME: Final = "http"
"""Name of the port of core Services. Data planes join EndpointSlices by it."""

_KEYS_SUFFIX: Final = "-keys"
_REVISION: Final = re.compile(rf"({'|'.join(kind.singular for kind in KINDS)})-(.+)-([1-9][0-9]{{0,8}})")
_KIND_NAMES: Final = {kind.singular: kind.name for kind in KINDS}


class RevisionName(NamedTuple):
    """The parts of the name of a ControllerRevision."""

    kind: str
    name: str
    version: int


def labels_of(kind: str, name: str) -> Json:
    """Return the labels of the children of a custom object."""
    return {MANAGED_BY: MANAGER, f"{GROUP}/{kind.lower()}": name}


def selector_of(service: str) -> Json:
    """Return the selector of the pods of a Service."""
    return {SERVICE: service}


def service_of_pod(metadata: Json) -> str | None:
    """Return the name of the Service that a pod belongs to, None for a pod of no Service."""
    name: str | None = metadata.get("labels", {}).get(SERVICE)
    return name


def text_of(selector: Json) -> str:
    """Return a selector as in a query, such as `modelyard.dev/service=m`."""
    return ",".join(f"{label}={value}" for label, value in selector.items())


def revision_name(kind: str, name: str, version: int) -> str:
    """Return the name of a version's ControllerRevision: `<kind>-<name>-<version>`."""
    return f"{kind.lower()}-{name}-{version}"


def parse_revision_name(text: str) -> RevisionName | None:
    """Parse the name of a ControllerRevision; None if it is not the name of a version."""
    match = _REVISION.fullmatch(text)
    if match is None or not is_object_name(match[2]):
        return None
    return RevisionName(_KIND_NAMES[match[1]], match[2], int(match[3]))


def keys_name(service: str) -> str:
    """Return the name of the Secret with the keys of a Service."""
    return f"{service}{_KEYS_SUFFIX}"


def service_of_keys(secret: str) -> str:
    """Return the name of the Service whose keys are in a Secret."""
    return secret.removesuffix(_KEYS_SUFFIX)


def activator_slice_name(service: str) -> str:
    """Return the name of the EndpointSlice that leads requests to a Service without a replica."""
    return f"{service}-activator"


def log_name(image: str, version: int) -> str:
    """Return the name of the ConfigMap with the saved log of a build."""
    return f"{revision_name('Image', image, version)}-log"


def job_name(image_uid: str, version: int, attempt: int) -> str:
    """Return the name of a build Job: unique for image, version and attempt, and short enough for a label."""
    return f"build-{hashlib.sha256(image_uid.encode()).hexdigest()[:12]}-{version}-{attempt}"
