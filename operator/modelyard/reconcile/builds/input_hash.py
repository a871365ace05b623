"""The hash of the inputs of an image: the operator reuses an image with the same hash."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from modelyard.contract.build_request import AssetInput, BuildRequest, ModelInput, Source
from modelyard.contract.image_layout import LAYOUT_VERSION
from modelyard.contract.urls import (
    file_name,
    is_http,
    requirements_url,
    without_userinfo,
)


def input_hash(request: BuildRequest, base_digest: str, runtime_version: str) -> str:
    """Return 64 hexadecimal digits, which fit into a tag.

    Each of these changes the hash:

    - the builder, the platforms, the digest of the base image (not its name), the scoring runtime, Spark;
    - the pip requirements, the conda environment, its Python version and its version of CUDA;
    - the choice of the driver, each asset, each model, and the registrations.

    These do not: labels, limits, the repository, the order of models and assets, and credentials. The version
    of a model counts only if there are several models: then the version is part of the model's path.

    An http(s) URL with a digest counts as the digest and the file name, so that a renewed signed URL finds
    the image again. Without a digest the whole URL counts. Its query counts too, since the query may select
    the content. The bytes at the URL are not read: other bytes at the same URL need a digest to change the
    hash.
    """
    inputs = {
        "layout": LAYOUT_VERSION,
        "builder": request.builder,
        "base": base_digest,
        "runtime": runtime_version,
        "requirements": _text_or_url(request.pip_requirements),
        "driver": request.driver,
        "assets": sorted((_asset_inputs(asset, request) for asset in request.assets), key=_canonical_json),
        "registrations": request.registrations,
        "models": sorted((_model_inputs(model, request) for model in request.models), key=_canonical_json),
        **_conda_inputs(request),
    }
    if request.platforms:  # without any, the hash stays that of earlier releases
        inputs["platforms"] = sorted(request.platforms)
    if request.spark:
        inputs["spark"] = True
    return hashlib.sha256(_canonical_json(inputs).encode()).hexdigest()


def _conda_inputs(request: BuildRequest) -> dict[str, Any]:
    # Without a conda environment there are no keys: the hash stays that of releases before conda support.
    file = _text_or_url(request.conda_env_file)
    cuda = {"cuda": request.cuda_version} if request.cuda_version else {}
    return {"conda": file, "python": request.python_version} | cuda if file else {}


def _model_inputs(model: ModelInput, request: BuildRequest) -> dict[str, Any]:
    version = model.version if len(request.models) > 1 else None
    return {"name": model.name, "version": version} | _source_inputs(model.source)


def _asset_inputs(asset: AssetInput, request: BuildRequest) -> dict[str, Any]:
    # The media type counts only where it changes the name, so that other hashes stay those of older releases.
    suffix = {"suffix": ".py"} if asset.needs_suffix and asset.id != request.driver else {}
    return {"id": asset.id} | suffix | _source_inputs(asset.source)


def _source_inputs(source: Source) -> dict[str, Any]:
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


def _canonical_json(value: dict[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
