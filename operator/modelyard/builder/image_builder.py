"""The interface of the two builders: one assembles layers, the other uses a Docker engine."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from modelyard.builder.log import BuildLog
from modelyard.builder.sources.context import FetchContext
from modelyard.contract.build_request import BuildRequest


class ImageBuilder(Protocol):
    """Makes the image of a request and pushes the image to the registry."""

    def publish(self, request: BuildRequest, workspace: Path, context: FetchContext, log: BuildLog) -> str:
        """Build the image, push it to `repository:tag`, and return the digest of its manifest.

        `workspace` is an empty folder, `context` has the settings of downloads. Sets the step of the log.
        Raises CodedError and its subclasses.
        """
