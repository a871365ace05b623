"""The kind Model: a file at a URL."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from modelyard.api.names import DisplayName
from modelyard.api.sources import IDENTITY_RULES, Download, MimeType, Url


class ModelSpec(Download):
    """A registered model. A change of any field except tags and description registers the next version."""

    rules = IDENTITY_RULES

    mime_type: MimeType
    """Media type of the file, such as application/octet-stream."""
    url: Url
    """URL of the file. Schemes: http, https, oci (an artifact in a registry), s3, gs, abfs, abfss, data and
    pvc://claim/path (a PersistentVolumeClaim that the chart's build.sources.claims names). Put credentials
    into secretRef. A URL may contain a short-lived credential of its own, such as a pre-signed URL."""
    name: DisplayName | None = None
    """Display name, such as Model_1.pkl. Default: metadata.name."""
    tags: Annotated[
        tuple[Annotated[str, Field(min_length=1, max_length=255)], ...], Field(max_length=100)
    ] = ()
    """Tags to search for the model. A change makes no new version."""
    description: Annotated[str, Field(max_length=4096)] | None = None
    """Description of the model, for human readers. A change makes no new version."""
