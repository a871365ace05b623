"""Downloads of sources in tests."""

from __future__ import annotations

import hashlib
from pathlib import Path

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.download import FetchedFile
from modelyard.builder.sources.fetch import fetch
from modelyard.contract.build_request import Source
from modelyard.retry import Retry


class Fetcher:
    """Downloads sources into one folder. Files whose URL has no name are called `named`."""

    def __init__(self, folder: Path, retry: Retry) -> None:
        self.folder = folder
        self.log: list[str] = []
        self.context = FetchContext(retry=retry, log=self.log.append)

    def __call__(self, url: str | None = None, *, limit_bytes: int = 2**30, **source: object) -> FetchedFile:
        parsed = Source.model_validate({"url": url, **source})
        return fetch(parsed, self.folder, name="named", limit_bytes=limit_bytes, context=self.context)


def digest_of(content: bytes) -> str:
    """Return the digest in the form of OCI."""
    return "sha256:" + hashlib.sha256(content).hexdigest()
