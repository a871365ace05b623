"""Builds of images for several platforms by the Layers builder."""

from __future__ import annotations

import json
from typing import Any

import pytest
from tests.unit.builder.layers.conftest import BASE_CONFIG, BASE_LAYER, Builds
from tests.unit.oci.fake_registry import digest_of

from modelyard.builder.environment.package_job import InstalledPackages, PackageJob, PackageKind
from modelyard.builder.environment.packages import Package
from modelyard.builder.environment.registry_files import RegistryFiles
from modelyard.builder.log import BuildLog
from modelyard.contract.build_request import BuildRequest
from modelyard.contract.errors import BaseImageUnfitError, WheelMissingError
from modelyard.oci.media_types import OCI_INDEX

AMD64, ARM64 = BOTH = ("linux/amd64", "linux/arm64")
REPOSITORY = "prefix/ns/image"


@pytest.fixture(autouse=True)
def _base_index(builds: Builds) -> None:
    """Push an index of base images for two platforms as bases/python:3.11."""
    fake = builds.fake
    amd64 = fake.manifests["bases/python", "3.11"]
    config = json.dumps({**BASE_CONFIG, "architecture": "arm64", "variant": "v8"}).encode()
    fake.blobs["bases/python", digest_of(config)] = config
    arm64 = {**json.loads(amd64), "config": {"digest": digest_of(config), "size": len(config)}}
    bodies = {"amd64": amd64, "arm64": json.dumps(arm64).encode()}
    fake.manifests |= {("bases/python", digest_of(body)): body for body in bodies.values()}
    entries = [
        {"digest": digest_of(body), "platform": {"os": "linux", "architecture": name}}
        for name, body in bodies.items()
    ]
    fake.manifests["bases/python", "3.11"] = json.dumps({"manifests": entries}).encode()


@pytest.fixture
def installed(builds: Builds) -> list[tuple[str, str]]:
    """Kind and platform of each installation."""
    installed: list[tuple[str, str]] = []

    def install(job: PackageJob, log: BuildLog, files: RegistryFiles | None = None) -> InstalledPackages:
        if job.requirements == "only-amd64" and job.platform == ARM64:
            raise WheelMissingError("only-amd64 has no wheels with a matching platform tag")
        installed.append((job.kind, job.platform))
        job.folder.mkdir(parents=True)
        (job.folder / "x.py").write_text(job.platform)
        own = Package(f"of-{job.platform.partition('/')[2]}", "1")
        both = Package("numpy", "1", digest=digest_of(job.platform.encode()))
        return InstalledPackages(
            python=job.python or "", packages=() if job.kind is PackageKind.RUNTIME else (own, both)
        )

    builds.installer = install
    return installed


def _request(builds: Builds, *platforms: str, **fields: Any) -> BuildRequest:
    return builds.request(**{"pip_requirements": "numpy", "platforms": platforms or BOTH} | fields)


def _document(builds: Builds, digest: str) -> Any:
    return json.loads(builds.fake.manifests[REPOSITORY, digest])


def _images(builds: Builds, index: str) -> list[str]:
    return [item["digest"] for item in _document(builds, index)["manifests"]]


def _attached(builds: Builds, digest: str) -> dict[str, list[Any]]:
    """Return the documents attached to a manifest by their artifact type."""
    documents: dict[str, list[Any]] = {}
    listed = _document(builds, digest.replace(":", "-"))["manifests"]
    for manifest in (_document(builds, item["digest"]) for item in listed):
        body = builds.fake.blobs[REPOSITORY, manifest["layers"][0]["digest"]]
        documents.setdefault(manifest["artifactType"], []).append(json.loads(body))
    return documents


@pytest.mark.usefixtures("installed")
def test_index_has_the_tag_and_an_image_for_each_platform(builds: Builds) -> None:
    digest = builds.publish(_request(builds))
    assert builds.fake.manifests[REPOSITORY, "t"] == builds.fake.manifests[REPOSITORY, digest]
    index = _document(builds, digest)
    assert index["mediaType"] == OCI_INDEX
    base = digest_of(builds.fake.manifests["bases/python", "3.11"])
    assert index["annotations"]["org.opencontainers.image.base.digest"] == base
    assert [item["platform"] for item in index["manifests"]] == [
        {"os": "linux", "architecture": "amd64"},
        {"os": "linux", "architecture": "arm64", "variant": "v8"},
    ]
    configs = [builds.config(image) for image in _images(builds, digest)]
    assert [config["architecture"] for config in configs] == ["amd64", "arm64"]
    sizes = [item["size"] for item in index["manifests"]]
    assert sizes == [len(builds.fake.manifests[REPOSITORY, image]) for image in _images(builds, digest)]


def test_packages_are_of_the_platform_and_all_else_is_shared(
    builds: Builds, installed: list[tuple[str, str]]
) -> None:
    digest = builds.publish(_request(builds))
    amd64, arm64 = (builds.manifest(image)["layers"] for image in _images(builds, digest))
    assert [one == other for one, other in zip(amd64, arm64, strict=True)] == [True, False, False, True]
    assert amd64[0]["digest"] == digest_of(BASE_LAYER)
    kinds = [(kind, platform) for platform in BOTH for kind in (PackageKind.PIP, PackageKind.RUNTIME)]
    assert sorted(installed) == sorted(kinds)
    for image, platform in zip(_images(builds, digest), BOTH, strict=True):
        environment = builds.files(image)["opt/modelyard/environment/x.py"]
        assert environment.decode() == platform


def test_layers_of_each_platform_are_cached(builds: Builds, installed: list[tuple[str, str]]) -> None:
    first = builds.publish(_request(builds))
    count = len(installed)
    assert builds.publish(_request(builds)) == first
    builds.publish(_request(builds, ARM64, image="other/image"))
    assert len(installed) == count


@pytest.mark.usefixtures("installed")
def test_one_platform_makes_an_image_of_it_and_no_index(builds: Builds) -> None:
    digest = builds.publish(_request(builds, ARM64))
    assert "manifests" not in _document(builds, digest)
    assert builds.config(digest)["architecture"] == "arm64"
    assert digest in _images(builds, builds.publish(_request(builds)))


@pytest.mark.usefixtures("installed")
def test_image_of_the_default_platform_is_that_of_an_index(builds: Builds) -> None:
    digest = builds.publish(builds.request(pip_requirements="numpy"))
    assert builds.config(digest)["architecture"] == "amd64"
    assert digest == _images(builds, builds.publish(_request(builds)))[0]


@pytest.mark.usefixtures("installed")
def test_index_is_pushed_after_its_images_and_all_attestations(builds: Builds) -> None:
    digest = builds.publish(_request(builds))
    pushed = [
        call.path.rpartition("/")[2]
        for call in builds.fake.requests("PUT")
        if f"/{REPOSITORY}/manifests/" in call.path
    ]
    images = _images(builds, digest)
    assert pushed[-1] == "t"
    assert set(pushed[-3:-1]) == set(images)
    assert {name.replace(":", "-") for name in (digest, *images)} <= set(pushed[:-3])


@pytest.mark.usefixtures("installed")
def test_index_and_each_image_have_a_bill_of_materials_and_provenance(builds: Builds) -> None:
    index = builds.publish(_request(builds))
    bases = [digest_of(builds.fake.manifests["bases/python", "3.11"])]
    bases += [
        item["digest"] for item in json.loads(builds.fake.manifests["bases/python", "3.11"])["manifests"]
    ]
    packages = [{"of-amd64", "of-arm64"}, {"of-amd64"}, {"of-arm64"}]
    for digest, base, own in zip((index, *_images(builds, index)), bases, packages, strict=True):
        documents = _attached(builds, digest)
        (bill,) = documents["application/vnd.cyclonedx+json"]
        assert bill["metadata"]["component"]["version"] == digest
        references = [part["bom-ref"] for part in bill["components"]]
        assert len(references) == len(set(references))
        libraries = {part["name"] for part in bill["components"] if part["type"] == "library"}
        assert libraries == own | {"numpy"}
        (statement,) = documents["application/vnd.in-toto+json"]
        assert f"sha256:{statement['subject'][0]['digest']['sha256']}" == digest
        definition = statement["predicate"]["buildDefinition"]
        assert definition["externalParameters"]["platforms"] == list(BOTH)
        dependencies = definition["resolvedDependencies"]
        assert f"sha256:{dependencies[0]['digest']['sha256']}" == base


@pytest.mark.usefixtures("installed")
@pytest.mark.parametrize("platforms", [BOTH, (ARM64,)], ids=["both", "one"])
def test_base_image_without_a_platform_fails_the_build(builds: Builds, platforms: tuple[str, ...]) -> None:
    index = json.loads(builds.fake.manifests["bases/python", "3.11"])
    index["manifests"].pop()
    builds.fake.manifests["bases/python", "3.11"] = json.dumps(index).encode()
    expected = r"is for linux/amd64, not for linux/arm64: name a base image for it in build\.baseImages"
    with pytest.raises(BaseImageUnfitError, match=expected):
        builds.publish(_request(builds, *platforms))
    plain = builds.fake.manifests["bases/python", index["manifests"][0]["digest"]]
    builds.fake.manifests["bases/python", "3.11"] = plain
    with pytest.raises(BaseImageUnfitError, match=expected):
        builds.publish(_request(builds, *platforms))
    assert (REPOSITORY, "t") not in builds.fake.manifests


@pytest.mark.usefixtures("installed")
def test_package_without_a_wheel_for_a_platform_is_named_with_the_platform(builds: Builds) -> None:
    with pytest.raises(WheelMissingError) as raised:
        builds.publish(_request(builds, pip_requirements="only-amd64"))
    assert str(raised.value) == (
        "environment: for linux/arm64: only-amd64 has no wheels with a matching platform tag, or remove"
        " linux/arm64 from build.platforms of the chart"
    )
    assert (REPOSITORY, "t") not in builds.fake.manifests
