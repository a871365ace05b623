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


def test_attestations_can_be_left_out() -> None:
    assert not AttestationSettings.from_environment({"MODELYARD_ATTESTATIONS": "false"}).attests


def test_a_mounted_key_signs(key_folder: Path) -> None:
    signer = AttestationSettings.from_environment({"MODELYARD_SIGNING_KEY": str(key_folder)}).signer()
    assert signer is not None
    assert signer.sign(b"x")


@pytest.mark.parametrize("kind", BuilderKind)
def test_builders_do_as_they_are_told(kind: BuilderKind, key_folder: Path) -> None:
    """Both have defaults of their own, which would hide that a setting does not arrive."""
    needed = {"MODELYARD_BUILD_REQUEST": "r", "MODELYARD_BUILD_WORKSPACE": "w"}
    told = {
        "MODELYARD_ATTESTATIONS": "false", "MODELYARD_SIGNING_KEY": str(key_folder),
        "MODELYARD_CONDA_CHANNELS": "team", "MODELYARD_FETCH_SCHEMES": "s3",
    }  # fmt: skip
    usual = builder_of(kind, BuildJobSettings.from_environment(needed))
    assert (usual.attests, usual.signer) == (True, None)
    builder = builder_of(kind, BuildJobSettings.from_environment(needed | told))
    assert not builder.attests
    assert builder.signer is not None
    assert builder.conda.channels == ("team",)
    assert builder.conda.policy.schemes == {"s3"}
    if kind is BuilderKind.LAYERS:
        assert builder.pip.policy.schemes == {"s3"}
