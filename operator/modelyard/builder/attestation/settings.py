"""Whether images are attested, and with which key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable


@dataclass(frozen=True)
class AttestationSettings:
    """What the Job's environment says."""

    attests: bool = True
    """False for a registry that accepts no OCI artifacts."""
    key_folder: Path | None = None
    """The folder of a mounted Secret, see modelyard.builder.attestation.signing_key."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> AttestationSettings:
        return cls(
            attests=environment.get(BuildVariable.ATTESTATIONS) != "false",
            key_folder=optional_path(environment, BuildVariable.SIGNING_KEY),
        )

    def signer(self) -> Signer | None:
        """None when images are not signed; raises SigningKeyInvalidError."""
        if self.key_folder is None:
            return None
        from modelyard.builder.attestation.signing_key import load_signer  # noqa: PLC0415 - a tenth of a second

        return load_signer(self.key_folder)
