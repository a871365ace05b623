"""What every fetch of one build shares."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry


@dataclass(frozen=True)
class FetchContext:
    """Settings of the machine, not of one source."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    """Also gives http(s) and stores their CA bundle."""
    retry: Retry = field(default_factory=Retry)
    log: Callable[[str], None] = lambda _: None
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    claims: Path | None = None
    """A folder with the volumes that are mounted, by the names of their claims."""
