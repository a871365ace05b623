"""Settings of attestations: whether images have them, and the key that signs them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from modelyard.builder.attestation.bundle import Signer
from modelyard.builder.variables import optional_path
from modelyard.contract.build_pod import BuildVariable


@dataclass(frozen=True)
class AttestationSettings:
    """Settings of attestations in the environment of a build Job."""

    attests: bool = True
    """True to attach attestations. False for registries that do not accept OCI artifacts."""
    key_folder: Path | None = None
    """The folder of a mounted Secret, see modelyard.builder.attestation.signing_key."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> AttestationSettings:
        """Return the settings of the environment variables ATTESTATIONS and SIGNING_KEY of BuildVariable."""
        return cls(
            attests=environment.get(BuildVariable.ATTESTATIONS) != "false",
            key_folder=optional_path(environment, BuildVariable.SIGNING_KEY),
        )

    def signer(self) -> Signer | None:
        """Return the signer of images, None if images are not signed. Raises SigningKeyInvalidError."""
        if self.key_folder is None:
            return None
        from modelyard.builder.attestation.signing_key import load_signer  # noqa: PLC0415 - takes 0.1 s

        return load_signer(self.key_folder)
