"""The bill of materials: CycloneDX 1.6 as JSON, https://cyclonedx.org/docs/1.6/json/.

The document is written without cyclonedx-python-lib, whose import takes a third of a second: half the time of
a build with a changed model. The tests validate the document with that library.
"""

from __future__ import annotations

import uuid
from typing import Final

from modelyard.builder.attestation.build_record import (
    BuildInput,
    BuildRecord,
    InputKind,
    Json,
    image_url,
)
from modelyard.builder.attestation.builder_version import VERSION
from modelyard.builder.environment.packages import Package

ARTIFACT_TYPE: Final = "application/vnd.cyclonedx+json"
PREDICATE_TYPE: Final = "https://cyclonedx.org/bom"

_TYPES: Final = {
    InputKind.BASE: "container",
    InputKind.RUNTIME: "framework",
    InputKind.MODEL: "machine-learning-model",
    InputKind.ASSET: "file",
}


def sbom(repository: str, digest: str, record: BuildRecord) -> Json:
    """Return the bill of materials of the image `repository@digest`.

    Equal images have equal documents: the serial number derives from the digest, and the document contains no
    time. The content of the base image is in the base image's own bill of materials.
    """
    reference = image_url(repository, digest)
    # Packages of several platforms may differ in the hash of their files only.
    packages = {package.purl: package for package in record.packages}
    parts = [
        *(_input(item) for item in record.inputs if item.kind in _TYPES),
        *(_package(package) for package in packages.values()),
    ]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.6.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid.uuid5(uuid.NAMESPACE_URL, digest).urn,
        "version": 1,
        "metadata": {
            "tools": {"components": [{"type": "application", "name": "modelyard", "version": VERSION}]},
            "component": {
                "type": "container",
                "bom-ref": reference,
                "name": repository,
                "version": digest,
                "purl": reference,
            },
        },
        "components": parts,
        "dependencies": [{"ref": reference, "dependsOn": [part["bom-ref"] for part in parts]}],
    }


def _input(item: BuildInput) -> Json:
    part: Json = {
        "type": _TYPES[item.kind],
        "bom-ref": item.label,
        "name": item.name,
        "hashes": [_hash(item.digest)],
    }
    if item.version:
        part["version"] = item.version
    if item.uri and item.kind is InputKind.BASE:
        part["purl"] = item.uri
    elif item.uri:
        part["externalReferences"] = [{"type": "distribution", "url": item.uri}]
    return part


def _package(package: Package) -> Json:
    part: Json = {
        "type": "library",
        "bom-ref": package.purl,
        "name": package.name,
        "version": package.version,
        "purl": package.purl,
    }
    if package.license:
        part["licenses"] = [{"license": {"name": package.license}}]
    if package.source:
        part["hashes"] = [_hash(package.source.wheel)]
        part["externalReferences"] = [
            {
                "type": "source-distribution",
                "url": package.source.url,
                "hashes": [_hash(package.source.digest)],
            }
        ]
    return part


def _hash(digest: str) -> Json:
    return {"alg": "SHA-256", "content": digest.removeprefix("sha256:")}
