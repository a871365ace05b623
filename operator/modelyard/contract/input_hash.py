"""The hash of all that determines an image: with the same one, the image in the registry is reused."""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

from modelyard.contract.build_request import (
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.contract.urls import (
    file_name,
    is_http,
    requirements_url,
    without_userinfo,
)

LAYOUT: Final = 2
"""Raised with each change of what the builder makes of the same inputs."""


def input_hash(request: BuildRequest, base_digest: str, runtime_version: str) -> str:
    """64 hexadecimal digits, fit for a tag.

    A change of any of these changes it: the builder, the base image's digest (its name does not), the
    runtime, the pip requirements, the conda environment and the Python asked for beside it, which asset is
    the driver, each asset, each model, and the registrations.
    Labels, limits, the repository, the order of models and assets, and credentials do not. A model's version
    counts only among several models, where it is part of the path.
    An http(s) URL with a digest counts by the digest and its file name alone, so that a signed URL that is
    renewed finds the image again. Without a digest the whole URL counts, with its query, which may select the
    content; the bytes behind it are not looked at, so other bytes at the same URL need a digest to be seen.
    """
    canonical = {
        "layout": LAYOUT,
        "builder": request.builder,
        "base": base_digest,
        "runtime": runtime_version,
        "requirements": _text_or_url(request.pip_requirements),
        "driver": request.driver,
        "assets": sorted(({"id": asset.id} | _source(asset.source) for asset in request.assets), key=_text),
        "registrations": request.registrations,
        "models": sorted((_model(model, request) for model in request.models), key=_text),
        **_conda(request),
        **({"spark": True} if request.spark else {}),
    }
    return hashlib.sha256(_text(canonical).encode()).hexdigest()


def _conda(request: BuildRequest) -> dict[str, Any]:
    """Nothing without a conda environment: images from before there were any are found again."""
    file = _text_or_url(request.conda_env_file)
    return {"conda": file, "python": request.python_version} if file else {}


def _model(model: ModelInput, request: BuildRequest) -> dict[str, Any]:
    version = model.version if len(request.models) > 1 else None
    return {"name": model.name, "version": version} | _source(model.source)


def _source(source: Source) -> dict[str, Any]:
    if source.content is not None:
        return {"content": hashlib.sha256(source.content.encode()).hexdigest(), "unpack": source.unpack}
    url = source.url or ""
    if source.digest and is_http(url):
        return {"file": file_name(url), "digest": source.digest, "unpack": source.unpack}
    return {"url": without_userinfo(url), "digest": source.digest, "unpack": source.unpack}


def _text_or_url(text: str | None) -> str | None:
    if text is None or not text.strip():
        return None
    url = requirements_url(text)
    return without_userinfo(url) if url else text.strip()


def _text(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
