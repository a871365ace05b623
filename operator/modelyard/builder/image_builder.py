"""What a builder is: one assembles layers, the other lets a Docker engine run commands."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from modelyard.builder.log import BuildLog
from modelyard.builder.sources import FetchContext
from modelyard.contract.build_request import BuildRequest


class ImageBuilder(Protocol):
    """Brings what a request asks for onto its base image, and the result into the registry."""

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """The digest of the manifest that was pushed to `repository:tag`.

        `workspace` is an empty folder, and `context` fetches sources. Enters the steps in the log. Raises
        BuildFailedError and its kinds.
        """
