"""Volumes of the pods of a Service, and where the scoring container mounts them."""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

from pydantic import Field, SkipValidation, StringConstraints

from modelyard.api.base import INTEGER, ApiType, Boolean
from modelyard.api.pod.shapes import DataKey, FileMode, ObjectName, exactly_one, unique
from modelyard.api.quantities import INT_OR_STRING, quantity_rule
from modelyard.api.rules import Rule
from modelyard.scoring.contract import APP_ROOT, KEYS_DIR, WORK_DIR

KEYS_VOLUME: Final = "keys"
TMP_VOLUME: Final = "tmp"
TMP_DIR: Final = "/tmp"  # noqa: S108 - the pod's own
COLLECTION_VOLUME: Final = "modelyard-collection"
COLLECTION_STATE_VOLUME: Final = "modelyard-collection-state"
DESTINATION_VOLUME: Final = "modelyard-collection-destination"
_RESERVED_VOLUMES: Final = (
    *(KEYS_VOLUME, TMP_VOLUME, COLLECTION_VOLUME, COLLECTION_STATE_VOLUME, DESTINATION_VOLUME),
)
_VOLUME_NAME: Final = re.compile(r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
VolumeName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=63),
    Rule(
        cel=f"self.matches(r'{_VOLUME_NAME.pattern}')",
        message="the name of a volume must have only a-z, 0-9 and -, with a letter or digit at both ends",
        is_valid=lambda name: bool(_VOLUME_NAME.fullmatch(name)),
    ),
    Rule(
        cel=f"!(self in [{', '.join(map(repr, _RESERVED_VOLUMES))}])",
        message=f"the volumes {', '.join(_RESERVED_VOLUMES)} are reserved for the scoring runtime:"
        " choose another name",
        is_valid=lambda name: name not in _RESERVED_VOLUMES,
    ),
]

# Folders that a mount must not hide, with all below them. /dev/shm is free: PyTorch needs its size.
_WHOLE_TREES: Final = (
    "/proc",
    "/sys",
    "/dev",
    "/opt/modelyard",
    "/run/modelyard",
    KEYS_DIR.rpartition("/")[0],
)
# Folders that a mount must not hide; a mount below them hides nothing.
_FOLDERS: Final = (
    *("/bin", "/etc", "/lib", "/lib64", "/opt", "/run", "/sbin", "/usr", "/usr/bin", "/usr/lib"),
    *("/usr/local", "/usr/local/bin", "/usr/local/lib", "/var", "/var/run", TMP_DIR, WORK_DIR, APP_ROOT),
    "/var/azureml-models",
)
_SHARED_MEMORY: Final = "/dev/shm"  # noqa: S108 - the pod's own
_RESERVED_PATH: Final = re.compile(f"^(({'|'.join(_WHOLE_TREES)})(/.*)?|{'|'.join(_FOLDERS)})$")
_ABSOLUTE: Final = re.compile(r"^(/[^/:\n]+)+$")
_DOTS: Final = re.compile(r"(^|/)\.\.?(/|$)")
_RELATIVE: Final = re.compile(r"^[^/:\n]+(/[^/:\n]+)*$")
MountPath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=512),
    Rule(
        cel=f"self.matches(r'{_ABSOLUTE.pattern}') && !self.matches(r'{_DOTS.pattern}')",
        message="mountPath must be an absolute path such as /data, without a colon, . and ..",
        is_valid=lambda path: bool(_ABSOLUTE.fullmatch(path)) and not _DOTS.search(path),
    ),
    Rule(
        cel=f"self == '{_SHARED_MEMORY}' || !self.matches(r'{_RESERVED_PATH.pattern}')",
        message="mountPath would hide a folder of the system or of the scoring runtime: choose another path,"
        " such as /data",
        is_valid=lambda path: path == _SHARED_MEMORY or not _RESERVED_PATH.fullmatch(path),
    ),
]
RelativePath = Annotated[
    str,
    StringConstraints(min_length=1, max_length=253),
    Rule(
        cel=f"self.matches(r'{_RELATIVE.pattern}') && !self.matches(r'{_DOTS.pattern}')",
        message="the path must be relative, without a colon, . and ..",
        is_valid=lambda path: bool(_RELATIVE.fullmatch(path)) and not _DOTS.search(path),
    ),
]
Size = Annotated[
    SkipValidation[str | int], INT_OR_STRING, quantity_rule("sizeLimit", "1", "1Pi", "1Gi or 500M")
]


class EmptyDirVolume(ApiType):
    """An empty folder, deleted with the pod."""

    medium: Literal["", "Memory"] | None = None
    """Memory: a tmpfs, whose files count as memory of the container. Default: the disk of the node."""
    size_limit: Size
    """Maximum size. The kubelet evicts a pod whose folder on disk is larger."""


class ClaimVolume(ApiType):
    """A PersistentVolumeClaim in the namespace of the Service, mounted read-only."""

    claim_name: ObjectName
    """Name of the PersistentVolumeClaim."""
    read_only: Annotated[
        Boolean,
        Rule(
            cel="self",
            message="the replicas share the claim and must not write to it: set readOnly to true",
            is_valid=lambda read_only: read_only is True,
        ),
    ]
    """Must be true: the replicas share the claim."""


class KeyToPath(ApiType):
    """A key of a Secret or ConfigMap, and its file."""

    key: DataKey
    """Key in the data."""
    path: RelativePath
    """Path of the file in the volume."""
    mode: FileMode | None = None
    """Permissions of the file, a decimal number in JSON. Default: defaultMode of the volume."""


# Fields that several kinds of volumes have, with their description.
Items = Annotated[tuple[KeyToPath, ...], Field(max_length=20, description="Keys to mount. Default: all.")]
DefaultMode = Annotated[
    FileMode | None,
    Field(description="Permissions of the files, a decimal number in JSON. Default: 0644."),
]


class SecretVolume(ApiType):
    """A Secret in the namespace of the Service, each key of which is a file."""

    secret_name: ObjectName
    """Name of the Secret."""
    items: Items = ()
    default_mode: DefaultMode = None
    optional: Boolean | None = None
    """If true, a pod starts with an empty volume if the Secret is missing. Default: false."""


class ConfigMapVolume(ApiType):
    """A ConfigMap in the namespace of the Service, each key of which is a file."""

    name: ObjectName
    """Name of the ConfigMap."""
    items: Items = ()
    default_mode: DefaultMode = None
    optional: Boolean | None = None
    """If true, a pod starts with an empty volume if the ConfigMap is missing. Default: false."""


class ServiceAccountToken(ApiType):
    """A short-lived token of the pod's ServiceAccount, which the kubelet renews."""

    audience: Annotated[str, StringConstraints(min_length=1, max_length=512)] | None = None
    """Recipient of the token. Default: the API server."""
    expiration_seconds: Annotated[int, Field(ge=600, le=2**32), INTEGER] | None = None
    """Lifetime in seconds. Default: 3600."""
    path: RelativePath
    """Path of the file in the volume."""


class ProjectedObject(ApiType):
    """A Secret or ConfigMap in the namespace of the Service."""

    name: ObjectName
    """Name of the object."""
    items: Items = ()
    optional: Boolean | None = None
    """If true, a pod starts without the files if the object is missing. Default: false."""


class ProjectedSource(ApiType):
    """One source of the files of a projected volume."""

    rules = (
        exactly_one(
            "a source must have exactly one of serviceAccountToken, secret and configMap",
            "serviceAccountToken",
            "secret",
            "configMap",
        ),
    )

    service_account_token: ServiceAccountToken | None = None
    """A token of the pod's ServiceAccount."""
    secret: ProjectedObject | None = None
    """A Secret."""
    config_map: ProjectedObject | None = None
    """A ConfigMap."""


class ProjectedVolume(ApiType):
    """Several sources in one folder."""

    sources: Annotated[tuple[ProjectedSource, ...], Field(min_length=1, max_length=8)]
    """Sources of the files."""
    default_mode: DefaultMode = None


_SOURCES: Final = ("emptyDir", "persistentVolumeClaim", "secret", "configMap", "projected")


class Volume(ApiType):
    """A volume of each pod."""

    rules = (exactly_one(f"a volume must have exactly one of {', '.join(_SOURCES)}", *_SOURCES),)

    name: VolumeName
    """Name of the volume, to which volumeMounts refers."""
    empty_dir: EmptyDirVolume | None = None
    """An empty folder."""
    persistent_volume_claim: ClaimVolume | None = None
    """A PersistentVolumeClaim, read-only."""
    secret: SecretVolume | None = None
    """A Secret."""
    config_map: ConfigMapVolume | None = None
    """A ConfigMap."""
    projected: ProjectedVolume | None = None
    """Several sources in one folder, such as a token."""


class VolumeMount(ApiType):
    """The place of a volume in the scoring container."""

    name: VolumeName
    """Name of a volume in volumes."""
    mount_path: MountPath
    """Path in the container, such as /data."""
    sub_path: RelativePath | None = None
    """Path in the volume. Default: the whole volume."""
    read_only: Boolean | None = None
    """If true, the driver cannot write. Default: false."""


Volumes = Annotated[
    tuple[Volume, ...],
    Field(max_length=20),
    unique("name", "the volumes must have different names: two volumes have the same name"),
]
VolumeMounts = Annotated[
    tuple[VolumeMount, ...],
    Field(max_length=40),
    unique("mountPath", "the mounts must have different paths: two mounts have the same mountPath"),
]
