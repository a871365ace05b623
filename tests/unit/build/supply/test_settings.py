from __future__ import annotations

from pathlib import Path

from modelyard.build.supply.settings import SupplySettings


def test_images_are_attested_and_not_signed_by_default() -> None:
    settings = SupplySettings.from_environment({})
    assert settings.attests
    assert settings.signer() is None


def test_attestations_can_be_left_out() -> None:
    assert not SupplySettings.from_environment({"MODELYARD_ATTESTATIONS": "false"}).attests


def test_a_mounted_key_signs(key_folder: Path) -> None:
    signer = SupplySettings.from_environment({"MODELYARD_SIGNING_KEY": str(key_folder)}).signer()
    assert signer is not None
    assert signer.sign(b"x")
