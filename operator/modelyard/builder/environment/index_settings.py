"""The settings of package indexes without their credentials, for the process with users' packages."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class PublicIndexSettings(BaseModel):
    """Settings of the indexes for the process with users' packages. No credential is among them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    proxy: str = ""
    """URL of the guard, which alone reaches the network."""
    variables: dict[str, str] = {}
    """Variables of uv."""
    constraints: str | None = None
    """Text of the constraints file of the pip.conf."""
    ca_certificates: str | None = None
    """CA certificates to trust in PEM, that of the guard among them; None for those of uv and rattler."""
    conda_channels: tuple[str, ...] = ()
    conda_mirrors: dict[str, str] = {}
    conda_virtual_packages: dict[str, str] = {}
    conda_retries: int = 4
