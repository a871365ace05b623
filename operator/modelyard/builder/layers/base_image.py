"""The base image: of it, manifest and configuration are read, and its layers are never unpacked."""

from __future__ import annotations

import json
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelyard.builder.layers.compression import (
    TAR,
    TAR_GZIP,
)
from modelyard.contract.errors import (
    BaseImageNotFoundError,
    BaseImageUnfitError,
)
from modelyard.oci import (
    Descriptor,
    RegistryClient,
)
from modelyard.oci.errors import (
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.reference import (
    Reference,
    parse_reference,
)

_OCI_TYPES: Final = {
    TAR: TAR,
    TAR_GZIP: TAR_GZIP,
    f"{TAR}+zstd": f"{TAR}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": TAR_GZIP,
}
"""The same bytes by the names of either specification."""

_MACHINES: Final = {"x86_64": "amd64", "aarch64": "arm64"}


@dataclass(frozen=True)
class Base:
    """An image of one platform."""

    reference: Reference
    """Pinned."""
    layers: tuple[Descriptor, ...]
    config: dict[str, Any]
    """https://github.com/opencontainers/image-spec/blob/main/config.md."""


def this_platform() -> str:
    """That of the machine, as in an image index: `linux/amd64`."""
    machine = platform.machine()
    return f"linux/{_MACHINES.get(machine, machine)}"


def read_base(registry: RegistryClient, image: str, wanted: str) -> Base:
    """The base image, of an index the one for a platform such as `linux/amd64`.

    Raises BaseImageNotFoundError, BaseImageUnfitError and RegistryError.
    """
    reference = parse_reference(image)
    try:
        manifest, digest = registry.manifest(reference)
        if "manifests" in manifest:
            digest = _of_platform(manifest["manifests"], wanted, image)
            manifest, digest = registry.manifest(reference.at(digest))
        config = json.loads(registry.blob_bytes(reference, manifest["config"]["digest"]))
        layers = tuple(_oci(layer, image) for layer in manifest["layers"])
        if not (isinstance(config, dict) and len(config["rootfs"]["diff_ids"]) == len(layers)):
            raise BaseImageUnfitError(f"the layers of {image} are not those of its configuration")
        return Base(reference.at(digest), layers, config)
    except RegistryNotFoundError as error:
        raise BaseImageNotFoundError(f"{image} does not exist: {error.message}") from None
    except (KeyError, TypeError, ValueError):
        raise RegistryRefusedError(
            f"{image} is not an image: its manifest or configuration is damaged"
        ) from None


def _of_platform(manifests: Sequence[dict[str, Any]], wanted: str, image: str) -> str:
    found = {_platform(entry): str(entry["digest"]) for entry in reversed(manifests)}
    if wanted not in found:
        offered = ", ".join(sorted(name for name in found if "unknown" not in name))
        raise BaseImageUnfitError(f"{image} is for {offered}, not for {wanted}")
    return found[wanted]


def _platform(entry: dict[str, Any]) -> str:
    found = entry.get("platform") or {}
    return f"{found.get('os')}/{found.get('architecture')}"


def _oci(layer: Descriptor, image: str) -> Descriptor:
    kind = _OCI_TYPES.get(layer["mediaType"])
    if kind is None:
        raise BaseImageUnfitError(f"{image} has a layer of the type {layer['mediaType']}")
    return {"mediaType": kind, "digest": layer["digest"], "size": layer["size"]}
