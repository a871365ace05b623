"""Model: a file and where it is."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelyard.api.names import DisplayName
from modelyard.api.sources import Download, MimeType, Url


class ModelSpec(Download):
    """A registered model. A change of any field but tags and description registers the next version."""

    mime_type: MimeType
    """Media type of the file, such as application/octet-stream."""
    url: Url
    """Where the file is: http(s), oci (an artifact in a registry), s3, gs, abfs(s), pvc://claim/path (a claim
    that the installation offers) or data. Credentials belong into secretRef; a URL that carries its own
    short-lived credential is accepted."""
    name: DisplayName | None = None
    """Display name, such as Model_1.pkl; metadata.name by default."""
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=100)
    ] = ()
    """Tags to find the model by."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """What the model is, for people."""
