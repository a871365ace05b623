"""Provenance of an image."""

from __future__ import annotations

import hashlib
import json

from tests.unit.builder.attestation.conftest import (
    BASE,
    IMAGE,
    MODEL,
    REPOSITORY,
    REQUEST,
    SECRETS,
    WHEEL,
)

from modelyard.builder.attestation.build_record import (
    BuildRecord,
    build_record,
)
from modelyard.builder.attestation.provenance import (
    provenance,
    statement,
)
from modelyard.contract.scoring_runtime import runtime_version


def _digests(record: BuildRecord) -> dict[str, str]:
    inputs = provenance(record)["buildDefinition"]["resolvedDependencies"]
    return {item["name"]: item["digest"]["sha256"] for item in inputs if "digest" in item}


def test_subject_of_a_statement_is_the_image() -> None:
    document = statement(REPOSITORY, IMAGE, "https://example.com/t", {"a": 1})
    assert document == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": REPOSITORY, "digest": {"sha256": "1" * 64}}],
        "predicateType": "https://example.com/t",
        "predicate": {"a": 1},
    }


def test_provenance_contains_the_digest_of_every_input(record: BuildRecord) -> None:
    requirements = provenance(record)["buildDefinition"]["externalParameters"]["pipRequirements"]
    assert _digests(record) == {
        "base image mirror.example.com/library/python:3.11-slim": "b" * 64,
        "scoring runtime modelyard": runtime_version(),
        "requirements pipRequirements": hashlib.sha256(requirements.encode()).hexdigest(),
        "model diabetes:3": "a" * 64,
        "asset driver": "d" * 64,
        "RECORD of scikit_learn": WHEEL.removeprefix("sha256:"),
    }
    packages = {item.get("uri") for item in provenance(record)["buildDefinition"]["resolvedDependencies"]}
    assert "pkg:pypi/numpy@2.3.1" in packages


def test_requirements_from_a_url_have_the_digest_of_the_download() -> None:
    url = "https://ci:token-of-the-index@git.example.com/requirements.txt?token-of-the-index"
    record = build_record(
        REQUEST.model_copy(update={"pip_requirements": url}),
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": MODEL, "pipRequirements": WHEEL},
        packages=(),
    )
    inputs = {item.name: item for item in record.inputs}
    assert inputs["pipRequirements"].digest == WHEEL
    assert inputs["pipRequirements"].uri == "https://git.example.com/requirements.txt"


def test_conda_environment_is_an_input_without_its_credentials() -> None:
    file = "dependencies: [python=3.12, 'https://me:hunter2@conda.example.com/a.conda']"
    record = build_record(
        REQUEST.model_copy(update={"conda_env_file": file}),
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": MODEL},
        packages=(),
    )
    public_file = provenance(record)["buildDefinition"]["externalParameters"]["condaEnvFile"]
    assert "python=3.12" in public_file
    assert "hunter2" not in public_file
    digest = hashlib.sha256(public_file.encode()).hexdigest()
    assert _digests(record)["conda environment condaEnvFile"] == digest


def test_provenance_contains_the_request_and_the_builder(record: BuildRecord) -> None:
    predicate = provenance(record)
    parameters = predicate["buildDefinition"]["externalParameters"]
    assert (parameters["models"], parameters["driver"]) == (["diabetes:3"], "driver")
    assert parameters["assets"] == ["driver"]
    assert parameters["labels"] == REQUEST.labels
    assert predicate["buildDefinition"]["buildType"] == "https://modelyard.dev/build/v1"
    assert predicate["runDetails"]["builder"]["id"] == "https://modelyard.dev/builder/layers"
    assert predicate["runDetails"]["builder"]["version"]["modelyard"]


def test_provenance_contains_no_credential(record: BuildRecord) -> None:
    text = json.dumps(provenance(record))
    assert not [secret for secret in SECRETS if secret in text]
    assert "pypi.example.com/simple" in text
