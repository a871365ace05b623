"""Installation of packages behind a guard, which holds the credentials of the indexes."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Protocol

from modelyard.builder.environment.conda_settings import CondaSettings
from modelyard.builder.environment.confined_installer import install_confined
from modelyard.builder.environment.index_access import read_index_access
from modelyard.builder.environment.index_guard import IndexGuard
from modelyard.builder.environment.package_job import (
    InstalledPackages,
    PackageInstaller,
    PackageJob,
    PackageKind,
)
from modelyard.builder.environment.pip_settings import PipSettings
from modelyard.builder.environment.registry_files import RegistryFiles
from modelyard.builder.log import BuildLog
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.build_request import CONDA_ENV_FILE, PIP_REQUIREMENTS
from modelyard.contract.errors import about


def install_here(job: PackageJob, log: BuildLog) -> InstalledPackages:
    """Do a job in processes of this container. See install_with_sources."""
    # Imported here: most builds find their environment in the registry.
    from modelyard.builder.environment.source_installer import install_with_sources  # noqa: PLC0415

    return install_with_sources(job, log)


class LayerInstaller(Protocol):
    """Does jobs of builds, see GuardedInstaller."""

    def __call__(
        self, job: PackageJob, log: BuildLog, files: RegistryFiles | None = None
    ) -> InstalledPackages:
        """Do a job. Raises the errors of a PackageInstaller."""


@dataclass(frozen=True)
class GuardedInstaller:
    """A PackageInstaller that runs a guard for each job."""

    pip: PipSettings = field(default_factory=PipSettings)
    conda: CondaSettings = field(default_factory=CondaSettings)
    install_users: PackageInstaller = install_here
    """Installs packages that users choose. Those of the runtime are the platform's."""

    def __call__(
        self, job: PackageJob, log: BuildLog, files: RegistryFiles | None = None
    ) -> InstalledPackages:
        """Do a job. `files` are those of the registry: cached wheels, and layers of the base image.

        Raises SourceDeniedError, too, if the guard has refused a connection.
        """
        install = install_confined if job.kind is PackageKind.RUNTIME else self.install_users
        access = read_index_access(self.pip, self.conda)
        with IndexGuard(access, self._policy(job), files) as guard, about(_subject(job)):
            try:
                installed = install(job.model_copy(update={"indexes": guard.settings}), log)
            except Exception as error:
                guard.check(error)
                raise
            guard.check()
        return installed

    def _policy(self, job: PackageJob) -> EgressPolicy:
        """Return the limits of a job. The runtime's packages and their indexes are the platform's.

        The platform chooses the schemes of its indexes, and those of the files that they lead to.
        """
        if job.kind is PackageKind.RUNTIME:
            return EgressPolicy()
        return self.pip.policy if _names_hosts(job) else replace(self.pip.policy, schemes=None)


def _names_hosts(job: PackageJob) -> bool:
    """Return whether users name a host."""
    channels = job.conda.channels if job.conda else ()
    dependencies = job.conda.dependencies if job.conda else ()
    return bool(channels) or any(
        mark in text for text in (job.requirements or "", *dependencies) for mark in ("://", "::")
    )


def _subject(job: PackageJob) -> str:
    return CONDA_ENV_FILE if job.conda else PIP_REQUIREMENTS
