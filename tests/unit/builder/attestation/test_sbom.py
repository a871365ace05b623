"""The bill of materials of an image."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from tests.unit.builder.attestation.conftest import (
    BASE,
    IMAGE,
    MODEL,
    PACKAGES,
    REPOSITORY,
    REQUEST,
    SECRETS,
)

from modelyard.builder.attestation.build_record import (
    BuildRecord,
    build_record,
)
from modelyard.builder.attestation.provenance import provenance
from modelyard.builder.attestation.sbom import sbom
from modelyard.builder.environment.packages import Package, PackageSource


def _components(record: BuildRecord) -> dict[str, dict[str, Any]]:
    return {part["bom-ref"]: part for part in sbom(REPOSITORY, IMAGE, record)["components"]}


def test_bill_of_materials_is_valid_cyclonedx(record: BuildRecord) -> None:
    text = json.dumps(sbom(REPOSITORY, IMAGE, record))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None


def test_components_are_inputs_and_packages(record: BuildRecord) -> None:
    parts = _components(record)
    assert {name: part["type"] for name, part in parts.items()} == {
        "base image mirror.example.com/library/python:3.11-slim": "container",
        "scoring runtime modelyard": "framework",
        "model diabetes:3": "machine-learning-model",
        "asset driver": "file",
        "pkg:conda/libgcc@15.1.0?build=h767d61c_3&subdir=linux-64": "library",
        "pkg:pypi/numpy@2.3.1": "library",
        "pkg:pypi/scikit-learn@1.7.2": "library",
    }
    assert parts["model diabetes:3"]["hashes"] == [{"alg": "SHA-256", "content": "a" * 64}]
    assert parts["model diabetes:3"]["version"] == "3"
    learn = parts["pkg:pypi/scikit-learn@1.7.2"]
    assert learn["licenses"] == [{"license": {"name": "BSD-3-Clause"}}]


def test_image_depends_on_all_components(record: BuildRecord) -> None:
    document = sbom(REPOSITORY, IMAGE, record)
    (dependency,) = document["dependencies"]
    assert dependency["ref"] == document["metadata"]["component"]["bom-ref"]
    assert dependency["dependsOn"] == list(_components(record))
    assert document["metadata"]["component"]["purl"] == (
        f"pkg:oci/diabetes@sha256%3A{'1' * 64}?repository_url=registry.example.com/modelyard/team/diabetes"
    )


def test_equal_builds_have_equal_bills_of_materials(record: BuildRecord) -> None:
    again = build_record(
        REQUEST,
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": record.inputs[-1].digest},
        packages=(*reversed(PACKAGES), PACKAGES[0]),
    )
    assert sbom(REPOSITORY, IMAGE, again) == sbom(REPOSITORY, IMAGE, record)
    other = sbom(REPOSITORY, f"sha256:{'2' * 64}", record)
    assert other["serialNumber"] != sbom(REPOSITORY, IMAGE, record)["serialNumber"]


def test_bill_of_materials_contains_no_credential(record: BuildRecord) -> None:
    text = json.dumps(sbom(REPOSITORY, IMAGE, record))
    assert not [secret for secret in SECRETS if secret in text]
    model = _components(record)["model diabetes:3"]
    assert model["externalReferences"][0]["url"] == "https://models.example.com/diabetes.joblib"


@pytest.mark.parametrize(
    ("package", "purl"),
    [
        (Package("Scikit_Learn", "1.7.2"), "pkg:pypi/scikit-learn@1.7.2"),
        (Package("torch", "2.9.0+cpu"), "pkg:pypi/torch@2.9.0%2Bcpu"),
        (Package("_libgcc_mutex", "0.1", ecosystem="conda"), "pkg:conda/_libgcc_mutex@0.1"),
    ],
)
def test_package_url_is_normalized(package: Package, purl: str) -> None:
    assert package.purl == purl


def test_missing_digest_of_an_input_is_an_error(record: BuildRecord) -> None:
    with pytest.raises(KeyError, match="model diabetes:3"):
        build_record(record.request, builder="layers", base_digest=BASE, digests={}, packages=())


def test_base_image_by_digest_has_no_version(record: BuildRecord) -> None:
    pinned = dataclasses.replace(record, request=REQUEST.model_copy(update={"base_image": f"python@{BASE}"}))
    again = build_record(
        pinned.request,
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": MODEL},
        packages=(),
    )
    assert _components(again)["base image docker.io/library/python"]["purl"] == (
        f"pkg:oci/python@sha256%3A{'b' * 64}?repository_url=docker.io/library/python"
    )


def test_package_of_a_source_distribution_has_its_source_and_wheel(record: BuildRecord) -> None:
    source = PackageSource("https://index.example/a-1.tar.gz", f"sha256:{'b' * 64}", f"sha256:{'c' * 64}")
    built = dataclasses.replace(record, packages=(Package("a", "1", source=source),))
    text = json.dumps(sbom(REPOSITORY, IMAGE, built))
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    part = _components(built)["pkg:pypi/a@1"]
    assert part["hashes"] == [{"alg": "SHA-256", "content": "c" * 64}]
    assert part["externalReferences"] == [
        {
            "type": "source-distribution",
            "url": source.url,
            "hashes": [{"alg": "SHA-256", "content": "b" * 64}],
        }
    ]
    dependencies = provenance(built)["buildDefinition"]["resolvedDependencies"]
    assert {
        "name": "source distribution of a",
        "uri": source.url,
        "digest": {"sha256": "b" * 64},
    } in dependencies
    assert {"name": "wheel of a", "uri": "pkg:pypi/a@1", "digest": {"sha256": "c" * 64}} in dependencies
