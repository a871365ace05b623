"""The size of a build request, checked before the Job exists: the Secret with the request has a limit."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from modelyard.contract.build_request import (
    CONDA_ENV_FILE,
    PIP_REQUIREMENTS,
    BuildRequest,
    Source,
)
from modelyard.sizes import human

MAX_SECRET_BYTES: Final = 1024 * 1024
"""https://kubernetes.io/docs/concepts/configuration/secret/#restriction-data-limit"""


class _Field(NamedTuple):
    """A field whose text is part of a build request, its size in bytes, and a way to make it smaller."""

    name: str
    size: int
    way_out: str


def size_problem(request: BuildRequest, packed: bytes) -> str | None:
    """Return a sentence with the largest field and the limit, None if the packed request fits."""
    if len(packed) <= MAX_SECRET_BYTES:
        return None
    largest = max(_fields(request), key=lambda field: field.size)
    return (
        f"the build request has {human(len(packed))} after compression, and the limit is"
        f" {human(MAX_SECRET_BYTES)}, which a Secret can hold: the largest field is {largest.name} with"
        f" {human(largest.size)}: {largest.way_out}"
    )


def _fields(request: BuildRequest) -> Iterator[_Field]:
    for subject, source in (
        *((model.subject, model.source) for model in request.models),
        *((asset.subject, asset.source) for asset in request.assets),
    ):
        yield from _source_fields(subject, source)
    for name, text in (
        (PIP_REQUIREMENTS, request.pip_requirements),
        (CONDA_ENV_FILE, request.conda_env_file),
    ):
        yield _Field(f"properties.{name}", _size(text), "store the file on a server and use its URL")


def _source_fields(subject: str, source: Source) -> Iterator[_Field]:
    way_out = "store the file on a server and use its URL"
    yield _Field(f"content of {subject}", _size(source.content), way_out)
    yield _Field(f"url of {subject}", _size(source.url), way_out)
    credentials = sum(_size(value) for value in source.credentials.values())
    yield _Field(
        f"secretRef of {subject}", credentials, "remove the keys that no download needs from the Secret"
    )


def _size(text: str | None) -> int:
    return len((text or "").encode())
