"""The provenance of an image: an in-toto Statement v1 with the SLSA provenance v1 predicate.

https://github.com/in-toto/attestation/blob/main/spec/v1/statement.md, https://slsa.dev/spec/v1.0/provenance
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from modelyard.builder.attestation.build_record import (
    BuildInput,
    BuildRecord,
    Json,
    public_requirements,
)
from modelyard.builder.attestation.builder_version import VERSION
from modelyard.builder.environment.packages import Package
from modelyard.contract.build_request import (
    CONDA_ENV_FILE,
    PIP_REQUIREMENTS,
    BuildRequest,
)

BUILD_TYPE: Final = "https://modelyard.dev/build/v1"
_BUILDER: Final = "https://modelyard.dev/builder"


def statement(repository: str, digest: str, predicate_type: str, predicate: Json) -> Json:
    """Return a statement about the image `repository@digest`."""
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": repository, "digest": _digest(digest)}],
        "predicateType": predicate_type,
        "predicate": predicate,
    }


def provenance(record: BuildRecord) -> Json:
    """Return the predicate: the build request, and the digest of every input.

    It contains neither the time nor an id of the build, so that a repeated build has the same provenance. The
    time of a build is in the revision in the cluster.
    """
    return {
        "buildDefinition": {
            "buildType": BUILD_TYPE,
            "externalParameters": _external_parameters(record.request),
            "internalParameters": {"inputHash": record.request.tag},
            "resolvedDependencies": [
                *(_input(item) for item in record.inputs),
                *(_package(package) for package in record.packages),
                *(file for package in record.packages for file in _built_files(package)),
            ],
        },
        "runDetails": {
            "builder": {"id": f"{_BUILDER}/{record.builder.lower()}", "version": {"modelyard": VERSION}},
        },
    }


def _external_parameters(request: BuildRequest) -> Json:
    parameters: Json = {
        "repository": request.repository,
        "baseImage": request.base_image,
        "driver": request.driver,
        "models": [f"{model.name}:{model.version}" for model in request.models],
        "assets": [asset.id for asset in request.assets],
        "labels": request.labels,
        "registrations": request.registrations,
    }
    if request.platforms:
        parameters["platforms"] = list(request.platforms)
    for name, text in (
        (PIP_REQUIREMENTS, request.pip_requirements),
        (CONDA_ENV_FILE, request.conda_env_file),
    ):
        if text:
            parameters[name] = public_requirements(text)
    return parameters


def _input(item: BuildInput) -> Json:
    dependency: Json = {"name": item.label, "digest": _digest(item.digest)}
    if item.uri:
        dependency["uri"] = item.uri
    return dependency


def _package(package: Package) -> Json:
    name = f"RECORD of {package.name}" if package.ecosystem == "pypi" else package.name
    dependency: Json = {"name": name, "uri": package.purl}
    if package.digest:
        dependency["digest"] = _digest(package.digest)
    return dependency


def _built_files(package: Package) -> Iterator[Json]:
    """Yield the source distribution and the wheel of a package that the build has made of it."""
    if source := package.source:
        name = f"source distribution of {package.name}"
        yield {"name": name, "uri": source.url, "digest": _digest(source.digest)}
        yield {"name": f"wheel of {package.name}", "uri": package.purl, "digest": _digest(source.wheel)}


def _digest(digest: str) -> Json:
    algorithm, _, value = digest.partition(":")
    return {algorithm: value}
