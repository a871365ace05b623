"""Builds of packages get the layers of the base image, and no other blob of the registry."""

from __future__ import annotations

from dataclasses import replace

import pytest
from tests.unit.builder.layers.conftest import BASE_CONFIG, BASE_LAYER
from tests.unit.oci.fake_registry import FakeRegistry, digest_of

from modelyard.builder.environment.target import local_platform
from modelyard.builder.layers.base_image import BaseImage
from modelyard.builder.layers.base_layers import BaseLayers
from modelyard.builder.layers.layer_blob import TAR
from modelyard.oci import RegistryClient
from modelyard.oci.reference import parse_reference
from modelyard.oci.registry_config import RegistryAccess

DIGEST = digest_of(BASE_LAYER)


@pytest.fixture
def base(fake: FakeRegistry) -> BaseImage:
    fake.blobs["bases/python", DIGEST] = BASE_LAYER
    layer = {"mediaType": TAR, "digest": DIGEST, "size": len(BASE_LAYER)}
    architecture = local_platform().partition("/")[2]
    config = {**BASE_CONFIG, "architecture": architecture, "config": {"Env": ["PATH=/opt/bin:/usr/bin::."]}}
    return BaseImage(parse_reference(f"{fake.address}/bases/python:3.11"), (layer,), config)


def test_description_has_the_layers_and_the_folders_of_programs(base: BaseImage) -> None:
    with RegistryClient(RegistryAccess()) as registry:
        files = BaseLayers(registry, base).files
        assert files is not None
        assert files.path == ("/opt/bin", "/usr/bin")
        assert [(layer.media_type, layer.digest) for layer in files.layers] == [(TAR, DIGEST)]
        without = replace(base, config={**base.config, "config": None})
        default = BaseLayers(registry, without).files
        assert default is not None
        assert "/usr/local/bin" in default.path


def test_image_of_another_platform_is_not_described(base: BaseImage) -> None:
    other = replace(base, config={**base.config, "architecture": "riscv64"})
    with RegistryClient(RegistryAccess()) as registry:
        assert BaseLayers(registry, other).files is None


def test_only_layers_of_the_image_are_opened(base: BaseImage, fake: FakeRegistry) -> None:
    secret = digest_of(b"secret")
    fake.blobs["bases/python", secret] = b"secret"
    with RegistryClient(RegistryAccess()) as registry:
        layers = BaseLayers(registry, base)
        with layers.open(DIGEST) as file:
            assert file is not None
            assert (file.size, b"".join(file.chunks)) == (len(BASE_LAYER), BASE_LAYER)
        with layers.open(secret) as file:
            assert file is None
