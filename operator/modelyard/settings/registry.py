"""Settings of the registry."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelyard.settings.section import Section


class RegistrySettings(Section):
    """The registry. Image names, the kubelet and pods may each use a different name for the registry."""

    push: str = "localhost:5000"  # host[:port] in image names, and for a Docker engine
    pull: str | None = None  # host[:port] for the kubelet; default: push
    internal: str | None = None  # host[:port] for pods of the cluster; default: push
    insecure: bool = False  # plain HTTP
    repository: str = "modelyard"  # prefix of repositories: <prefix>/<namespace>/<image>
    # Built versions of an Image whose images stay in the registry; 0 keeps the images of all versions.
    keep_versions: Annotated[int, Field(ge=0)] = 0
    # Seconds between two looks at the image of an Image that a Service uses; 0: never.
    verify_seconds: Annotated[float, Field(ge=0)] = 3600
    config_path: str | None = None  # path of a mounted .dockerconfigjson with the credentials
    ca_path: str | None = None  # path of a mounted PEM file with the CA certificates to trust
    # Path of a mounted PEM file with public keys: images without a signature of one of them are not reused.
    public_keys_path: str | None = None

    @property
    def pull_name(self) -> str:
        """Host[:port] of the registry for the kubelet."""
        return self.pull or self.push

    @property
    def internal_name(self) -> str:
        """Host[:port] of the registry for pods."""
        return self.internal or self.push

    @property
    def repository_names(self) -> tuple[str, ...]:
        """The prefix of repositories as `host[:port]/prefix`, for each name of the registry."""
        hosts = {self.push, self.pull_name, self.internal_name}
        return tuple(sorted(f"{host}/{self.repository}" for host in hosts))
