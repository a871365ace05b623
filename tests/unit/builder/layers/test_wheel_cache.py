"""Wheels of source distributions in the registry, one build to the next."""

from __future__ import annotations

import hashlib
from contextlib import nullcontext
from unittest.mock import create_autospec

import pytest
from tests.unit.builder.layers.conftest import Builds

from modelyard.builder.environment.built_wheel import WHEELS, BuiltWheel
from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, PackageKind
from modelyard.builder.environment.registry_files import WHEEL_HOST, RegistryFiles
from modelyard.builder.layers.layer import Layer
from modelyard.builder.layers.layer_cache import LayerCache
from modelyard.builder.layers.wheel_cache import WheelCache
from modelyard.builder.log import BuildLog
from modelyard.oci.errors import RegistryUnavailableError

CONTENT = b"wheel"
DIGEST = f"sha256:{hashlib.sha256(CONTENT).hexdigest()}"


class Installs:
    """An installer that builds one wheel, and reads it from the cache before."""

    def __init__(self, builds: Builds) -> None:
        self._builds = builds
        self.cached: list[tuple[str, str, bytes] | None] = []
        self.digest = DIGEST
        """The digest that the result of the job promises."""
        builds.installer = self

    def __call__(
        self, job: PackageJob, log: BuildLog, files: RegistryFiles | None = None
    ) -> InstalledPackages:
        installed = self._builds.install(job, log)
        if job.kind is PackageKind.RUNTIME or files is None:
            assert files is None
            return installed
        with files[WHEEL_HOST]("key") as wheel:
            self.cached.append(wheel and (wheel.name, wheel.digest, b"".join(wheel.chunks)))
        path = job.folder.parent / WHEELS / "a-1-py3-none-any.whl"
        path.parent.mkdir()
        path.write_bytes(CONTENT)
        built = BuiltWheel(key="key", path=path, digest=self.digest, size=len(CONTENT))
        return installed.model_copy(update={"wheels": (built,)})


def _publish(builds: Builds, requirements: str, image: str = "ns/image") -> None:
    builds.publish(builds.request(image=image, pip_requirements=requirements))


def test_wheel_of_an_earlier_build_is_found(builds: Builds) -> None:
    installs = Installs(builds)
    _publish(builds, "a")
    _publish(builds, "a\nb", "ns/other")
    assert installs.cached == [None, ("a-1-py3-none-any.whl", DIGEST, CONTENT)]


def test_wheel_is_for_builds_of_its_namespace(builds: Builds) -> None:
    installs = Installs(builds)
    _publish(builds, "a")
    _publish(builds, "a\nb", "other/image")
    assert installs.cached == [None, None]


def test_wheel_that_was_replaced_is_not_cached(builds: Builds) -> None:
    installs = Installs(builds)
    installs.digest = f"sha256:{'0' * 64}"
    _publish(builds, "a")
    _publish(builds, "a\nb")
    assert installs.cached == [None, None]


def test_error_of_the_registry_in_a_wheel_is_raised_once() -> None:
    """A second yield of the context manager would hide the error behind a RuntimeError."""
    layer = Layer("application/vnd.modelyard.wheel", DIGEST, len(CONTENT), DIGEST, "a-1-py3-none-any.whl")
    layers = create_autospec(LayerCache, instance=True)
    layers.find.return_value = layer
    layers.open_blob.return_value = nullcontext(iter([CONTENT]))
    with pytest.raises(RegistryUnavailableError), WheelCache(layers, "ns").open("key") as wheel:
        assert wheel is not None
        raise RegistryUnavailableError("the connection ended")


def test_error_of_the_registry_before_a_wheel_is_a_miss() -> None:
    layers = create_autospec(LayerCache, instance=True)
    layers.find.side_effect = RegistryUnavailableError("no answer")
    with WheelCache(layers, "ns").open("key") as wheel:
        assert wheel is None
