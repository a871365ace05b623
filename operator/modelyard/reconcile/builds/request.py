"""The request of a build, from the records of an image's manifest and models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelyard.api.manifest import BUILDER, CONDA_ENV_FILE, PIP_REQUIREMENTS, PYTHON_VERSION, RuntimeType
from modelyard.api.names import GROUP, REGISTRATION, parse_version_reference
from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.contract.urls import (
    claim_name,
    requirements_url,
)
from modelyard.kube.types import Json
from modelyard.redaction import redact
from modelyard.settings import OperatorSettings

Credentials = Mapping[str, Mapping[str, str]]  # name of a Secret → its keys and values


def secrets_of(manifest: Json, models: Mapping[str, Json]) -> list[str]:
    """Names of the Secrets that the downloads of an image need, each once."""
    sources = [*models.values(), *manifest["assets"]]
    return sorted({source["secretRef"]["name"] for source in sources if "secretRef" in source})


class NotOfferedError(LookupError):
    """A manifest or a model asks for what the chart does not offer; the message says what it does."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code


class BaseImage(NamedTuple):
    """An image, and the minor version of the Python in it."""

    image: str
    python: str


def base_image(manifest: Json, settings: OperatorSettings) -> BaseImage:
    """What a manifest's images stand on; raises NotOfferedError.

    A conda environment brings its own Python, any version of it: without one to match, it stands on the
    default's image.
    """
    build, is_spark = settings.build, _is_spark(manifest)
    offered, place = (
        (build.spark_images, "build.sparkImages") if is_spark else (build.base_images, "build.baseImages")
    )
    if not offered:
        raise NotOfferedError(
            "RuntimeNotSupported",
            f"runtimeType {RuntimeType.SPARK_PYTHON} is not offered here: it needs a base image with Java and"
            f" pyspark in the chart's {place}",
        )
    asked = manifest["targetRuntime"]["properties"].get(PYTHON_VERSION)
    default = build.default_python_version if build.default_python_version in offered else min(offered)
    wanted = default if asked is None or (asked not in offered and _has_conda(manifest)) else asked
    if wanted not in offered:
        raise NotOfferedError(
            "PythonVersionNotOffered",
            f"properties.pythonVersion {wanted} is not offered here: use one of {', '.join(sorted(offered))},"
            f" or ask for a base image in the chart's {place}",
        )
    return BaseImage(offered[wanted], wanted)


def _is_spark(manifest: Json) -> bool:
    return bool(manifest["targetRuntime"]["runtimeType"] == RuntimeType.SPARK_PYTHON)


def _has_conda(manifest: Json) -> bool:
    return bool(manifest["targetRuntime"]["properties"].get(CONDA_ENV_FILE, "").strip())


def builder(manifest: Json, settings: OperatorSettings) -> BuilderKind:
    """The builder that a manifest asks for, or the default."""
    properties = manifest["targetRuntime"]["properties"]
    return BuilderKind(properties.get(BUILDER, settings.build.builder))


def claims_of(request: BuildRequest, namespace: str, settings: OperatorSettings) -> tuple[str, ...]:
    """The claims that a build reads; raises NotOfferedError for one that its namespace may not."""
    offered = settings.sources.claims_for(namespace)
    found = {claim: url for url in _urls(request) if (claim := claim_name(url)) is not None}
    for claim, url in found.items():
        if claim not in offered:
            raise NotOfferedError(
                "ClaimNotOffered",
                f"{redact(url)}: the claim {claim!r} is not offered to namespace {namespace}, which has"
                f" {', '.join(offered) or 'none'}; the chart's build.sources.claims says who may read which",
            )
    return tuple(sorted(found))


def _urls(request: BuildRequest) -> list[str]:
    models = [model.source.url for model in request.models]
    assets = [asset.source.url for asset in request.assets]
    texts = [requirements_url(text or "") for text in (request.pip_requirements, request.conda_env_file)]
    return [url for url in (*models, *assets, *texts) if url]


def build_request(
    namespace: str,
    image: str,
    content: Json,
    manifest: Json,
    models: Mapping[str, Json],
    settings: OperatorSettings,
    credentials: Credentials,
) -> BuildRequest:
    """What to build. `models` is keyed by id, `name:version`, in the manifest's order; the tag comes later.

    `content`, `manifest` and the values of `models` are the data of records.
    """
    properties = manifest["targetRuntime"]["properties"]
    base = base_image(manifest, settings)
    return BuildRequest(
        repository=f"{settings.registry.push}/{settings.registry.repository}/{namespace}/{image}",
        tag="",
        builder=builder(manifest, settings),
        base_image=base.image,
        base_python=base.python,
        driver=manifest["driverProgram"],
        models=tuple(_model(id_, data, credentials) for id_, data in models.items()),
        assets=tuple(
            AssetInput(id=asset["id"], mime_type=asset.get("mimeType"), source=_source(asset, credentials))
            for asset in manifest["assets"]
        ),
        pip_requirements=properties.get(PIP_REQUIREMENTS),
        conda_env_file=properties.get(CONDA_ENV_FILE),
        spark=_is_spark(manifest),
        python_version=properties.get(PYTHON_VERSION) if _has_conda(manifest) else None,
        labels={
            f"{GROUP}/namespace": namespace,
            f"{GROUP}/image": image,
            f"{GROUP}/manifest": content["manifestId"],
            f"{GROUP}/models": ",".join(models),
            f"{GROUP}/sources": _sources(manifest, models),
        },
        registrations=_registrations(content, manifest, models),
    )


def _sources(manifest: Json, models: Mapping[str, Json]) -> str:
    """Where models and assets come from, as JSON, with nothing that could be a credential."""
    named = {**models} | {f"asset {asset['id']}": asset for asset in manifest["assets"]}
    urls = {name: redact(data["url"]) for name, data in named.items() if data.get("url")}
    return json.dumps(urls, sort_keys=True)


def _registrations(image: Json, manifest: Json, models: Mapping[str, Json]) -> dict[str, str]:
    """Registrations of all that is in an image, which are part of its inputs.

    A model is called by its name, so that a revert, which is a new version, finds its image; by its id where
    two versions of it are in one image.
    """
    names = Counter(parse_version_reference(id_).name for id_ in models)
    parts = {"image": image, "manifest": manifest}
    for id_, data in models.items():
        name = parse_version_reference(id_).name
        parts[f"model {name if names[name] == 1 else id_}"] = data
    return {part: data[REGISTRATION] for part, data in parts.items() if REGISTRATION in data}


def _model(id_: str, data: Json, credentials: Credentials) -> ModelInput:
    reference = parse_version_reference(id_)
    return ModelInput(
        name=data.get("name", reference.name),
        version=reference.version or 1,
        source=_source(data, credentials),
    )


def _source(data: Mapping[str, Any], credentials: Credentials) -> Source:
    return Source(
        url=data.get("url"),
        content=data.get("content"),
        digest=data.get("digest"),
        unpack=data.get("unpack", False),
        credentials=dict(credentials.get(data.get("secretRef", {}).get("name", ""), {})),
    )
