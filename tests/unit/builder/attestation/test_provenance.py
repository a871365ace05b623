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


def test_it_is_about_the_image(record: BuildRecord) -> None:
    told = statement(REPOSITORY, IMAGE, "https://example.com/t", {"a": 1})
    assert told == {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": REPOSITORY, "digest": {"sha256": "1" * 64}}],
        "predicateType": "https://example.com/t",
        "predicate": {"a": 1},
    }


def test_the_digest_of_every_input_is_in_it(record: BuildRecord) -> None:
    shown = provenance(record)["buildDefinition"]["externalParameters"]["pipRequirements"]
    assert _digests(record) == {
        "base image mirror.example.com/library/python:3.11-slim": "b" * 64,
        "scoring runtime modelyard": runtime_version(),
        "requirements pipRequirements": hashlib.sha256(shown.encode()).hexdigest(),
        "model diabetes:3": "a" * 64,
        "asset driver": "d" * 64,
        "RECORD of scikit_learn": WHEEL.removeprefix("sha256:"),
    }
    packages = {item.get("uri") for item in provenance(record)["buildDefinition"]["resolvedDependencies"]}
    assert "pkg:pypi/numpy@2.3.1" in packages


def test_requirements_from_a_url_have_the_digest_of_what_came(record: BuildRecord) -> None:
    url = "https://ci:token-of-the-index@git.example.com/requirements.txt?token-of-the-index"
    told = build_record(
        REQUEST.model_copy(update={"pip_requirements": url}),
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": MODEL, "pipRequirements": WHEEL},
        packages=(),
    )
    inputs = {item.name: item for item in told.inputs}
    assert inputs["pipRequirements"].digest == WHEEL
    assert inputs["pipRequirements"].uri == "https://git.example.com/requirements.txt"


def test_a_conda_environment_is_an_input(record: BuildRecord) -> None:
    file = "dependencies: [python=3.12, 'https://me:hunter2@conda.example.com/a.conda']"
    told = build_record(
        REQUEST.model_copy(update={"conda_env_file": file}),
        builder="layers",
        base_digest=BASE,
        digests={"model diabetes:3": MODEL, "asset driver": MODEL},
        packages=(),
    )
    shown = provenance(told)["buildDefinition"]["externalParameters"]["condaEnvFile"]
    assert "python=3.12" in shown
    assert "hunter2" not in shown
    digest = hashlib.sha256(shown.encode()).hexdigest()
    assert _digests(told)["conda environment condaEnvFile"] == digest


def test_who_built_what_was_asked_for(record: BuildRecord) -> None:
    told = provenance(record)
    asked = told["buildDefinition"]["externalParameters"]
    assert (asked["models"], asked["driver"], asked["assets"]) == (["diabetes:3"], "driver", ["driver"])
    assert asked["labels"] == REQUEST.labels
    assert told["buildDefinition"]["buildType"] == "https://modelyard.dev/build/v1"
    assert told["runDetails"]["builder"]["id"] == "https://modelyard.dev/builder/layers"
    assert told["runDetails"]["builder"]["version"]["modelyard"]


def test_no_credential_is_in_it(record: BuildRecord) -> None:
    text = json.dumps(provenance(record))
    assert not [secret for secret in SECRETS if secret in text]
    assert "pypi.example.com/simple" in text
