"""The settings that all downloads of a build share."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.registry_login import RegistryLogin
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry


@dataclass(frozen=True)
class FetchContext:
    """Settings of the build Job for downloads, as against the source of one download."""

    access: RegistryAccess = field(default_factory=RegistryAccess)
    """Access to registries. Its CA bundle is also for http(s) and object stores."""
    retry: Retry = field(default_factory=Retry)
    log: Callable[[str], None] = lambda _: None
    """Called with each line for the build log."""
    policy: EgressPolicy = field(default_factory=EgressPolicy)
    login: RegistryLogin = field(default_factory=RegistryLogin)
    """Repositories that `oci://` URLs without a Secret may read with the credentials of `access`."""
    claims: Path | None = None
    """Folder with one folder per mounted PersistentVolumeClaim, named after the claim. None without any."""
