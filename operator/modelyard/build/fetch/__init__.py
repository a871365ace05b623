"""Brings the bytes of a model or an asset onto the disk, from wherever they are."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from modelyard.build.errors import SourceInvalidError
from modelyard.build.fetch.download import Download, FetchContext, FetchedFile
from modelyard.build.fetch.http import fetch_http
from modelyard.build.fetch.inline import data_of
from modelyard.build.fetch.oci import fetch_oci
from modelyard.build.fetch.store import fetch_object
from modelyard.build.request import Source
from modelyard.build.urls import file_name, scheme

__all__ = ["FetchContext", "FetchedFile", "fetch"]

_TRANSFERS: Final = {
    "http": fetch_http,
    "https": fetch_http,
    "s3": fetch_object,
    "gs": fetch_object,
    "abfs": fetch_object,
    "abfss": fetch_object,
}
SCHEMES: Final = (*_TRANSFERS, "oci", "data")


def fetch(source: Source, folder: Path, *, name: str, limit_bytes: int, context: FetchContext) -> FetchedFile:
    """Fetch one source into an empty folder, under the file name that its URL gives it, or else `name`.

    Raises SourceError and its kinds, DiskFullError, and UnsafeArchiveError for an artifact whose file names
    reach outside. What each scheme takes as credentials is said in its own module.
    """
    with context.policy.watching(source):
        return _fetch(source, folder, name, limit_bytes, context)


def _fetch(source: Source, folder: Path, name: str, limit_bytes: int, context: FetchContext) -> FetchedFile:
    # a line feed at the end is what `echo secret | base64` adds
    credentials = {key: value.strip("\r\n") for key, value in source.credentials.items()}
    source = source.model_copy(update={"credentials": credentials})
    if source.url is None or scheme(source.url) == "data":
        content = (source.content or "").encode() if source.url is None else data_of(source.url)
        with Download(folder / name, limit_bytes, context) as download:
            download.expect(len(content))
            download.write(content)
            return download.finish(source.digest)
    kind = scheme(source.url)
    if kind == "oci":
        return fetch_oci(source, folder, name, limit_bytes, context)
    transfer = _TRANSFERS.get(kind)
    if transfer is None:
        raise SourceInvalidError(f"the url starts with {kind[:20]!r}, not with {', '.join(SCHEMES)}")
    with Download(folder / (file_name(source.url) or name), limit_bytes, context) as download:
        transfer(source, download, context)
        return download.finish(source.digest)
