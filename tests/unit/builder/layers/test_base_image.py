"""Base images in a registry."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests.unit.oci.fake_registry import (
    FakeRegistry,
    digest_of,
)

from modelyard.builder.layers.base_image import read_base_image
from modelyard.contract.errors import (
    BaseImageNotFoundError,
    BaseImageUnfitError,
    BuildFailedError,
)
from modelyard.oci import RegistryClient
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

LAYER = "application/vnd.docker.image.rootfs.diff.tar.gzip"
DIGEST = "sha256:" + "1" * 64


class BaseImages:
    """Base images in a registry, and the function under test."""

    def __init__(self, fake: FakeRegistry, registry: RegistryClient) -> None:
        self.fake = fake
        self._registry = registry
        self.name = f"{fake.address}/python:1"

    def add(self, tag: str = "1", *, layer_type: str = LAYER, diff_ids: int = 1) -> str:
        """Push an image of one layer, and return its digest."""
        config = json.dumps({"os": tag, "rootfs": {"diff_ids": [DIGEST] * diff_ids}}).encode()
        self.fake.blobs["python", digest_of(config)] = config
        layer = {"mediaType": layer_type, "digest": DIGEST, "size": 1, "urls": []}
        return self.put(tag, {"config": {"digest": digest_of(config)}, "layers": [layer]})

    def put(self, tag: str, manifest: dict[str, Any]) -> str:
        body = json.dumps(manifest).encode()
        self.fake.manifests["python", tag] = self.fake.manifests["python", digest_of(body)] = body
        return digest_of(body)

    def read(self) -> Any:
        return read_base_image(self._registry, self.name, "linux/amd64")


@pytest.fixture
def bases(fake: FakeRegistry, retry: Retry) -> Iterator[BaseImages]:
    with RegistryClient(RegistryAccess(), retry=retry) as registry:
        yield BaseImages(fake, registry)


def test_base_image_is_pinned_and_its_layers_have_oci_types(bases: BaseImages) -> None:
    digest = bases.add()
    base = bases.read()
    assert str(base.reference) == f"{bases.fake.address}/python@{digest}"
    assert base.layers == (
        {"mediaType": "application/vnd.oci.image.layer.v1.tar+gzip", "digest": DIGEST, "size": 1},
    )


def test_index_yields_the_image_for_the_platform(bases: BaseImages) -> None:
    platforms = ("linux/arm64", "linux/amd64", "unknown/unknown")
    entries = [
        {
            "digest": bases.add(name.replace("/", "-")),
            "platform": dict(zip(("os", "architecture"), name.split("/"), strict=True)),
        }
        for name in platforms
    ]
    bases.put("1", {"manifests": entries})
    assert bases.read().config["os"] == "linux-amd64"
    bases.put("1", {"manifests": [entries[0], entries[2]]})
    with pytest.raises(BaseImageUnfitError, match="is for linux/arm64, not for linux/amd64"):
        bases.read()


def _damaged(bases: BaseImages) -> None:
    bases.put("1", {"config": {}, "layers": []})


@pytest.mark.parametrize(
    ("put", "error", "message"),
    [
        (lambda _: None, BaseImageNotFoundError, "python:1 does not exist"),
        (lambda bases: bases.add(diff_ids=2), BaseImageUnfitError, "list different layers"),
        (
            lambda bases: bases.add(layer_type="windows"),
            BaseImageUnfitError,
            "of the unsupported type windows",
        ),
        (_damaged, RegistryRefusedError, "is not an image"),
    ],
    ids=["missing", "contradictory", "unsupported layer", "damaged"],
)
def test_unusable_base_image_is_refused(
    bases: BaseImages, put: Any, error: type[BuildFailedError], message: str
) -> None:
    put(bases)
    with pytest.raises(error, match=message):
        bases.read()
