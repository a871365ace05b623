"""The manifest and the config of an image. Equal layers and settings give equal bytes.

https://github.com/opencontainers/image-spec/blob/main/manifest.md and config.md. The config has the same
effect as the last stage of the Dockerfile in modelyard.builder.docker.dockerfile.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Final

from modelyard.builder.layers.base_image import BaseImage, BaseImages
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.tar_stream import FILE_TIME
from modelyard.contract.image_layout import APP_ROOT, ENVIRONMENT, PORT, RUNTIME, USER
from modelyard.oci import Descriptor
from modelyard.oci.media_types import OCI_INDEX, OCI_MANIFEST
from modelyard.oci.reference import Reference

CONFIG_TYPE: Final = "application/vnd.oci.image.config.v1+json"

_CREATED: Final = datetime.fromtimestamp(FILE_TIME, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
"""Constant, and the same as the time of all files, so that a repeated build gives the same image."""
_DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
_PLATFORM_FIELDS: Final = ("architecture", "os", "variant", "os.version", "os.features")
_INHERITED_FIELDS: Final = ("Env", "Labels", "ExposedPorts", "Volumes", "Healthcheck", "Shell")
"""Fields that a Dockerfile inherits from its base image, except fields that `image_config` always sets."""


@dataclass(frozen=True)
class Document:
    """A manifest or a config, as the bytes that are pushed."""

    media_type: str
    body: bytes

    @classmethod
    def encode(cls, media_type: str, content: Mapping[str, Any]) -> Document:
        """Return the document with a content, as JSON of one form only."""
        return cls(media_type, json.dumps(content, sort_keys=True, separators=(",", ":")).encode())

    @property
    def digest(self) -> str:
        """Return the digest of the document, sha256:<64 hex>."""
        return f"sha256:{hashlib.sha256(self.body).hexdigest()}"

    @property
    def descriptor(self) -> Descriptor:
        """Return the descriptor of the document."""
        return {"mediaType": self.media_type, "digest": self.digest, "size": len(self.body)}


def image_config(
    base: BaseImage, layers: Sequence[Layer], variables: Mapping[str, str], labels: Mapping[str, str]
) -> Document:
    """Return the config of an image of the base image and the layers on it.

    `variables` are the environment variables of the driver.
    """
    inherited = base.config.get("config") or {}
    settings = {name: inherited[name] for name in _INHERITED_FIELDS if inherited.get(name)} | {
        "User": str(USER),
        "WorkingDir": APP_ROOT,
        "ExposedPorts": (inherited.get("ExposedPorts") or {}) | {f"{PORT}/tcp": {}},
        "StopSignal": "SIGTERM",
        # -S and -P keep the driver's packages, and a json.py beside the driver, out of the server's process.
        "Cmd": ["python3", "-S", "-P", "-m", "modelyard.scoring"],
        "Env": _environment(inherited.get("Env") or [], variables),
        "Labels": {**(inherited.get("Labels") or {}), **labels},
    }
    diff_ids = [*base.config["rootfs"]["diff_ids"], *(layer.diff_id for layer in layers)]
    platform: dict[str, Any] = {name: base.config[name] for name in _PLATFORM_FIELDS if name in base.config}
    return Document.encode(
        CONFIG_TYPE,
        {
            **platform,
            "created": _CREATED,
            "config": settings,
            "rootfs": {"type": "layers", "diff_ids": diff_ids},
            "history": [
                *_base_history(base),
                *({"created": _CREATED, "created_by": layer.created_by} for layer in layers),
                {"created": _CREATED, "created_by": "config", "empty_layer": True},
            ],
        },
    )


def image_manifest(base: BaseImage, layers: Sequence[Layer], config: Document) -> Document:
    """Return the manifest of an image, with annotations that name its base image.

    https://github.com/opencontainers/image-spec/blob/main/annotations.md
    """
    return Document.encode(
        OCI_MANIFEST,
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": config.descriptor,
            "layers": [*base.layers, *(layer.descriptor for layer in layers)],
            "annotations": _base_annotations(base.reference),
        },
    )


def image_index(bases: BaseImages, images: Sequence[Document]) -> Document:
    """Return the image index of the manifests of images, one for each base image in their order.

    https://github.com/opencontainers/image-spec/blob/main/image-index.md
    """
    return Document.encode(
        OCI_INDEX,
        {
            "schemaVersion": 2,
            "mediaType": OCI_INDEX,
            "manifests": [
                image.descriptor | {"platform": _platform(base)}
                for base, image in zip(bases.images, images, strict=True)
            ],
            "annotations": _base_annotations(bases.reference),
        },
    )


def _platform(base: BaseImage) -> dict[str, str]:
    """Return the platform of an image as a container runtime compares it with its own."""
    os, _, architecture = base.platform.partition("/")
    variant = {"variant": base.config["variant"]} if base.config.get("variant") else {}
    return {"os": os, "architecture": architecture, **variant}


def _base_annotations(reference: Reference) -> dict[str, str]:
    return {
        "org.opencontainers.image.base.name": str(replace(reference, digest=None)),
        "org.opencontainers.image.base.digest": reference.version,
    }


def _environment(inherited: Sequence[str], variables: Mapping[str, str]) -> list[str]:
    """Return the variables of the base image, with those of the runtime and the driver.

    PYTHONUSERBASE makes Python find the packages like a user's installation (`pip install --user`).
    """
    result: dict[str, str] = {}
    for assignment in inherited:
        name, _, value = assignment.partition("=")
        result[name] = value
    result.pop("PYTHONNOUSERSITE", None)
    python_path = result.get("PYTHONPATH")
    result |= {
        "PATH": f"{ENVIRONMENT}/bin:{result.get('PATH', _DEFAULT_PATH)}",
        "PYTHONPATH": f"{RUNTIME}:{python_path}" if python_path else RUNTIME,
        "PYTHONUSERBASE": ENVIRONMENT,
        "PYTHONDONTWRITEBYTECODE": "1",
        "PYTHONUNBUFFERED": "1",
        "HOME": "/tmp",  # noqa: S108 - of the container
        **variables,
    }
    return [f"{name}={value}" for name, value in result.items()]


def _base_history(base: BaseImage) -> list[dict[str, Any]]:
    """Return the history of the base image, or one entry per layer if its history does not fit its layers.

    A config must have as many history entries with layers as it has layers.
    """
    history: list[dict[str, Any]] = base.config.get("history") or []
    if sum(not entry.get("empty_layer") for entry in history) == len(base.layers):
        return history
    return [{"created": _CREATED, "created_by": "base image"} for _ in base.layers]
