"""The repositories that an `oci://` URL of a user may read with the registry login of the platform.

The chart's `build.sources.repositories` offers repositories to namespaces. All other repositories are read
anonymously, or with the Secret of the source. The platform's own repository has the images and cached layers
of all namespaces. So no entry of the chart offers it, not even an entry that contains it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Self

from modelyard.contract.build_pod import BuildVariable
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import RegistryAccess

_DEFAULT_PORTS: Final = (":443", ":80")


@dataclass(frozen=True)
class RegistryLogin:
    """Repositories as `registry/path`. An entry includes the repositories below its path."""

    offered: frozenset[str] = frozenset()
    own: frozenset[str] = frozenset()
    """Names of the platform's own repository: it has one for each name of its registry."""

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> Self:
        """Return the repositories in the variables of a build pod."""
        return cls(
            frozenset(environment.get(BuildVariable.FETCH_REPOSITORIES, "").split()),
            frozenset(environment.get(BuildVariable.OWN_REPOSITORIES, "").split()),
        )

    def access_for(self, reference: Reference, access: RegistryAccess) -> RegistryAccess:
        """Return `access`, without its credentials unless the repository is offered."""
        if self._offers(f"{reference.registry}/{reference.repository}"):
            return access
        return replace(access, config=None)

    def _offers(self, repository: str) -> bool:
        own = {_normalized(name) for name in self.own}
        return _is_below(repository, self.offered) and not _is_below(_normalized(repository), own)


def _is_below(repository: str, prefixes: frozenset[str] | set[str]) -> bool:
    return any(repository == prefix or repository.startswith(f"{prefix}/") for prefix in prefixes)


def _normalized(repository: str) -> str:
    """Return the name with the registry in lower case and without a default port."""
    registry, slash, path = repository.partition("/")
    registry = registry.lower()
    for port in _DEFAULT_PORTS:
        registry = registry.removesuffix(port)
    return f"{registry}{slash}{path}"
