"""Images in the registry of the local cluster."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.registry_images import RegistryImages, registry_images


@pytest.fixture
def images(kubeconfig: Path) -> Iterator[RegistryImages]:
    """Images in the registry of the local cluster, whose address `kubeconfig` puts into the environment."""
    with registry_images() as images:
        yield images
