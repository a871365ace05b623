"""Settings of attestations."""

from __future__ import annotations

from pathlib import Path

import pytest

from modelyard.builder.attestation.settings import AttestationSettings
from modelyard.builder.job import builder_of
from modelyard.builder.job_settings import BuildJobSettings
from modelyard.contract.build_request import BuilderKind


def test_images_are_attested_and_not_signed_by_default() -> None:
    settings = AttestationSettings.from_environment({})
    assert settings.attests
    assert settings.signer() is None


def test_attestations_can_be_disabled() -> None:
    assert not AttestationSettings.from_environment({"MODELYARD_ATTESTATIONS": "false"}).attests


def test_mounted_key_signs(key_folder: Path) -> None:
    signer = AttestationSettings.from_environment({"MODELYARD_SIGNING_KEY": str(key_folder)}).signer()
    assert signer is not None
    assert signer.sign(b"x")


@pytest.mark.parametrize("kind", BuilderKind)
def test_settings_of_the_environment_reach_both_builders(kind: BuilderKind, key_folder: Path) -> None:
    """Each setting differs from the builder's default, so that a setting that gets lost is noticed."""
    required = {"MODELYARD_BUILD_REQUEST": "r", "MODELYARD_BUILD_WORKSPACE": "w"}
    changed = {
        "MODELYARD_ATTESTATIONS": "false", "MODELYARD_SIGNING_KEY": str(key_folder),
        "MODELYARD_CONDA_CHANNELS": "team", "MODELYARD_FETCH_SCHEMES": "s3",
    }  # fmt: skip
    default = builder_of(kind, BuildJobSettings.from_environment(required))
    assert (default.attests, default.signer) == (True, None)
    builder = builder_of(kind, BuildJobSettings.from_environment(required | changed))
    assert not builder.attests
    assert builder.signer is not None
    assert builder.install.conda.channels == ("team",)
    assert builder.install.pip.policy.schemes == {"s3"}
