"""Whether images are attested, and with which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.builder.attestation.bundle import Signer
from modelyard.oci.registry_config import optional_path


@dataclass(frozen=True)
class AttestationSettings:
    """What the Job's environment says."""

    attests: bool = True
    """MODELYARD_ATTESTATIONS: false for a registry that takes no OCI artifacts."""
    key_folder: Path | None = None
    """MODELYARD_SIGNING_KEY: the folder of a mounted Secret, see modelyard.build.supply.sign."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> AttestationSettings:
        return cls(
            attests=environment.get("MODELYARD_ATTESTATIONS") != "false",
            key_folder=optional_path(environment, "MODELYARD_SIGNING_KEY"),
        )

    def signer(self) -> Signer | None:
        """None when images are not signed; raises SigningKeyInvalidError."""
        if self.key_folder is None:
            return None
        from modelyard.builder.attestation.signing_key import load_signer  # noqa: PLC0415 - a tenth of a second

        return load_signer(self.key_folder)
