"""What a builder is: Docker's engine is the first one."""

from __future__ import annotations

from typing import Protocol

from modelyard.build.layout import ImageContent
from modelyard.build.log import BuildLog
from modelyard.build.request import BuildRequest


class Builder(Protocol):
    """Puts the content onto the request's base image and the result into the registry."""

    def publish(self, request: BuildRequest, content: ImageContent, log: BuildLog) -> str:
        """The digest of the manifest that was pushed to `repository:tag`.

        Enters the steps BUILD and PUSH in the log. Raises EngineError, RegistryError, DiskFullError.
        """
