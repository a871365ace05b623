"""The base image. Only its manifest and its config are read: its layers are never unpacked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from modelyard.builder.layers.layer_blob import (
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

_OCI_LAYER_TYPES: Final = {
    TAR: TAR,
    TAR_GZIP: TAR_GZIP,
    f"{TAR}+zstd": f"{TAR}+zstd",
    "application/vnd.docker.image.rootfs.diff.tar": TAR,
    "application/vnd.docker.image.rootfs.diff.tar.gzip": TAR_GZIP,
}
"""OCI media types of layers by their OCI or Docker media type. The bytes of a layer are the same."""


@dataclass(frozen=True)
class BaseImage:
    """The base image for one platform."""

    reference: Reference
    """The reference of the image for the platform, with its digest."""
    layers: tuple[Descriptor, ...]
    config: dict[str, Any]
    """https://github.com/opencontainers/image-spec/blob/main/config.md."""

    @property
    def platform(self) -> str:
        """Return the platform in the form of an image index, `linux/amd64` for example."""
        return f"{self.config.get('os', 'linux')}/{self.config.get('architecture', 'amd64')}"


@dataclass(frozen=True)
class BaseImages:
    """The base image for each platform of a build."""

    reference: Reference
    """The reference of the base image that the request names, often an image index, with its digest."""
    images: tuple[BaseImage, ...]


def read_base_images(
    registry: RegistryClient, image: str, platforms: Sequence[str], default: str
) -> BaseImages:
    """Return the base image for each platform, or without platforms the one for the platform `default`.

    Without platforms, a base image that is no index may be for another platform than `default`.

    Raises the errors of `read_base_image`.
    """
    if not platforms:
        base = read_base_image(registry, image, default)
        return BaseImages(base.reference, (base,))
    images = tuple(read_base_image(registry, image, platform) for platform in platforms)
    for found, platform in zip(images, platforms, strict=True):
        if found.platform != platform:
            raise _unfit(image, found.platform, platform)
    reference = parse_reference(image)
    return BaseImages(reference.at(reference.digest or registry.manifest(reference)[1]), images)


def read_base_image(registry: RegistryClient, image: str, platform_name: str) -> BaseImage:
    """Return a base image. An image index yields the image for the platform, `linux/amd64` for example.

    Raises BaseImageNotFoundError, BaseImageUnfitError, RegistryError and ReferenceInvalidError.
    """
    reference = parse_reference(image)
    try:
        manifest, digest = registry.manifest(reference)
        if "manifests" in manifest:
            digest = _digest_for_platform(manifest["manifests"], platform_name, image)
            manifest, digest = registry.manifest(reference.at(digest))
        config = json.loads(registry.blob_bytes(reference, manifest["config"]["digest"]))
        layers = tuple(_oci_layer(layer, image) for layer in manifest["layers"])
        if not (isinstance(config, dict) and len(config["rootfs"]["diff_ids"]) == len(layers)):
            raise BaseImageUnfitError(f"the manifest and the config of {image} list different layers")
        return BaseImage(reference.at(digest), layers, config)
    except RegistryNotFoundError as error:
        raise BaseImageNotFoundError(f"{image} does not exist: {error.message}") from None
    except (KeyError, TypeError, ValueError):
        raise RegistryRefusedError(
            f"{image} is not an image: its manifest or its config is damaged"
        ) from None


def _digest_for_platform(manifests: Sequence[dict[str, Any]], platform_name: str, image: str) -> str:
    digests = {_platform_of(entry): str(entry["digest"]) for entry in reversed(manifests)}
    if platform_name not in digests:
        offered = ", ".join(sorted(name for name in digests if "unknown" not in name))
        raise _unfit(image, offered, platform_name)
    return digests[platform_name]


def _unfit(image: str, offered: str, platform_name: str) -> BaseImageUnfitError:
    return BaseImageUnfitError(
        f"{image} is for {offered}, not for {platform_name}: name a base image for it in build.baseImages of"
        " the chart, or change build.platforms"
    )


def _platform_of(entry: dict[str, Any]) -> str:
    found = entry.get("platform") or {}
    return f"{found.get('os')}/{found.get('architecture')}"


def _oci_layer(layer: Descriptor, image: str) -> Descriptor:
    media_type = _OCI_LAYER_TYPES.get(layer["mediaType"])
    if media_type is None:
        raise BaseImageUnfitError(f"{image} has a layer of the unsupported type {layer['mediaType']}")
    return {"mediaType": media_type, "digest": layer["digest"], "size": layer["size"]}
