"""The table of all failure codes of builds: fault, retries, and the settings that a failure depends on.

The table decides, not the component that reports a failure. docs/troubleshooting.md has the same rows.
"""

from __future__ import annotations

from enum import StrEnum
from functools import reduce
from typing import Final, NamedTuple

from modelyard.backoff import Backoff
from modelyard.kube.merge import fingerprint
from modelyard.settings import BuildSettings, OperatorSettings

_MAX_PAUSE_SECONDS: Final = 600.0
_SLOW: Final = Backoff(first_seconds=60.0, most_seconds=3600.0)


class Fault(StrEnum):
    """The party that can correct the cause of a failure."""

    USER = "user"
    PLATFORM = "platform"  # the chart's values, the registry or the cluster's quotas
    NETWORK = "network"  # a server outside the cluster
    NODE = "node"


class Retry(StrEnum):
    """The retries of a failure, as the documentation describes them."""

    FINAL = "no"
    BOUNDED = "up to `build.attempts`"
    UNBOUNDED = "always, every 10 min at last"
    SLOW = "always, every hour at last"


class Row(NamedTuple):
    """The fault and the retries of a failure code."""

    fault: Fault
    retry: Retry
    settings: tuple[str, ...] = ()  # a change of one of these values at a start leads to another attempt

    def is_over(self, counted: int, settings: BuildSettings) -> bool:
        """Return True if no attempt follows. `counted` is the number of failures that count as attempts."""
        return self.retry is Retry.FINAL or (self.retry is Retry.BOUNDED and counted >= settings.attempts)

    @property
    def counts(self) -> bool:
        """Return whether a failure counts as one of `build.attempts`: it does unless it passes on its own."""
        return self.retry in {Retry.FINAL, Retry.BOUNDED}

    def pause_seconds(self, attempts: int, settings: BuildSettings) -> float:
        """Return the pause after attempt number `attempts`."""
        backoff = _SLOW if self.retry is Retry.SLOW else Backoff(settings.retry_seconds, _MAX_PAUSE_SECONDS)
        return backoff.seconds(attempts)

    def settings_hash(self, settings: OperatorSettings) -> str:
        """Return a hash of the settings that the failure depends on, an empty string without any."""
        if not self.settings:
            return ""
        return fingerprint([reduce(getattr, path.split("."), settings) for path in self.settings])


CHART_VALUES: Final = {
    "build.base_images": "build.baseImages",
    "build.spark_images": "build.sparkImages",
    "build.cuda_images": "build.cudaImages",
    "build.builder": "build.builder",
    "build.platforms": "build.platforms",
    "build.docker_enabled": "build.docker.enabled",
    "build.deadline_seconds": "build.deadlineSeconds",
    "build.resources": "build.resources",
    "build.workspace_size": "build.workspaceSize",
    "build.attestations": "build.attestations.enabled",
    "build.image": "image",
    "sources.schemes": "build.sources.schemes",
    "sources.denied_networks": "build.sources.deniedNetworks",
    "sources.allowed_networks": "build.sources.allowedNetworks",
    "sources.claims": "build.sources.claims",
    "sources.repositories": "build.sources.repositories",
}
"""The chart value of each setting in the table."""

_USER: Final = Row(Fault.USER, Retry.FINAL)
_PACKAGE: Final = Row(Fault.USER, Retry.FINAL, ("build.platforms",))  # may exist for some platforms only
_SERVER: Final = Row(Fault.NETWORK, Retry.BOUNDED)
_INDEX: Final = Row(Fault.PLATFORM, Retry.BOUNDED)  # a Secret or ConfigMap that builds mount
_IMAGES: Final = ("build.base_images", "build.spark_images", "build.cuda_images")

TABLE: Final[dict[str, Row]] = {
    # the operator
    "BuildRequestTooLarge": _USER,
    "RuntimeNotSupported": Row(Fault.PLATFORM, Retry.FINAL, ("build.spark_images", "build.cuda_images")),
    "PythonVersionNotOffered": Row(Fault.PLATFORM, Retry.FINAL, _IMAGES),
    "BuilderNotOffered": Row(
        Fault.PLATFORM, Retry.FINAL, ("build.builder", "build.docker_enabled", "build.platforms")
    ),
    "ClaimNotOffered": Row(Fault.PLATFORM, Retry.FINAL, ("sources.claims",)),
    "BuildRefused": Row(Fault.PLATFORM, Retry.UNBOUNDED),
    "BuildNotStarted": Row(Fault.PLATFORM, Retry.UNBOUNDED),
    "BuildInterrupted": Row(Fault.NODE, Retry.UNBOUNDED),
    "BuildNodeLost": Row(Fault.NODE, Retry.BOUNDED),
    "BuildLost": Row(Fault.NODE, Retry.BOUNDED),
    "BuildDeadlineExceeded": Row(Fault.PLATFORM, Retry.FINAL, ("build.deadline_seconds",)),
    "BuildOutOfMemory": Row(Fault.PLATFORM, Retry.FINAL, ("build.resources",)),
    "BuildEvicted": Row(Fault.PLATFORM, Retry.FINAL, ("build.workspace_size",)),
    # the registry
    "RegistryUnavailable": Row(Fault.PLATFORM, Retry.UNBOUNDED),
    "RegistryForbidden": Row(Fault.PLATFORM, Retry.SLOW),
    "RegistryNotFound": Row(Fault.PLATFORM, Retry.BOUNDED),
    "RegistryTooLarge": Row(Fault.PLATFORM, Retry.FINAL),
    "RegistryRefused": Row(Fault.PLATFORM, Retry.FINAL, ("build.attestations",)),
    "RegistryUnsupported": Row(Fault.PLATFORM, Retry.FINAL, ("build.attestations",)),
    # sources
    "SourceUnavailable": _SERVER,
    "SourceDenied": Row(
        Fault.PLATFORM,
        Retry.FINAL,
        ("sources.schemes", "sources.denied_networks", "sources.allowed_networks"),
    ),
    "SourceForbidden": Row(Fault.USER, Retry.FINAL, ("sources.repositories",)),
    "SourceInvalid": _USER,
    "SourceNotFound": _USER,
    "SourceRefused": _USER,
    "SourceTooLarge": _USER,
    "DigestMismatch": _USER,
    "NotAnArchive": _USER,
    "UnsafeArchive": _USER,
    "ArchiveTooLarge": _USER,
    "AssetConflict": _USER,
    "RequestInvalid": _USER,
    # packages
    "PackageIndexUnavailable": _SERVER,
    "PackageIndexForbidden": _INDEX,
    "PackageIndexUntrusted": _INDEX,
    "PackageNotFound": _USER,
    "RequirementsInvalid": _USER,
    "RequirementsConflict": _USER,
    "WheelMissing": _PACKAGE,
    "SourceBuildFailed": Row(Fault.USER, Retry.FINAL, ("build.resources",)),
    "PipFailed": _USER,
    "CondaFileInvalid": _USER,
    "CondaFailed": _PACKAGE,
    "CondaPackageUnsafe": _USER,
    "InstallerKilled": Row(Fault.USER, Retry.FINAL, ("build.resources",)),
    "PythonVersionConflict": _USER,
    # the builder
    "BaseImageNotFound": Row(Fault.PLATFORM, Retry.SLOW, _IMAGES),
    "BaseImageUnfit": Row(Fault.PLATFORM, Retry.FINAL, (*_IMAGES, "build.platforms")),
    "BuildStepFailed": _USER,
    "EngineUnavailable": Row(Fault.NODE, Retry.UNBOUNDED),
    "DiskFull": Row(Fault.NODE, Retry.BOUNDED, ("build.workspace_size",)),
    "SigningKeyInvalid": Row(Fault.PLATFORM, Retry.SLOW),
    "BuilderCrashed": Row(Fault.PLATFORM, Retry.FINAL, ("build.image",)),
    "BuildFailed": Row(Fault.PLATFORM, Retry.FINAL, ("build.image",)),
}


def row_of(code: str, *, transient: bool) -> Row:
    """Return the row of a code. `transient` decides for a code of another release, which has no row."""
    return TABLE.get(code) or Row(Fault.PLATFORM, Retry.BOUNDED if transient else Retry.FINAL)
