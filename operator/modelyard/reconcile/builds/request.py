"""The request of a build, made from the versions of an Image, its Manifest and its Models."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from modelyard.api.manifest import (
    BUILDER,
    CONDA_ENV_FILE,
    INSTALL_CUDA,
    PIP_REQUIREMENTS,
    PYTHON_VERSION,
    RuntimeType,
)
from modelyard.api.names import GROUP, REGISTRATION, parse_version_reference
from modelyard.contract.build_request import (
    AssetInput,
    BuilderKind,
    BuildRequest,
    ModelInput,
    Source,
)
from modelyard.contract.source_keys import usable_keys
from modelyard.contract.urls import (
    claim_name,
    requirements_url,
)
from modelyard.kube.types import Json
from modelyard.reconcile.builds.credentials import Credentials
from modelyard.reconcile.builds.identities import identity_of
from modelyard.redaction import redact
from modelyard.settings import BuildSettings, OperatorSettings


class NotOfferedError(LookupError):
    """A Manifest or Model needs something that the chart does not offer; the message lists the offer."""

    def __init__(self, code: str, message: str) -> None:
        """`code` is the code of the error in the Image's status."""
        super().__init__(message)
        self.code = code


class BaseImageChoice(NamedTuple):
    """A base image, and the minor version of its Python."""

    image: str
    python: str


def base_image(manifest: Json, settings: OperatorSettings) -> BaseImageChoice:
    """Return the base image for a Manifest.

    A conda environment brings its own Python of any version: if no base image has that version, the one of
    the default version is used.

    Raises NotOfferedError if the chart has no base image for the Manifest's runtime or Python version.
    """
    build = settings.build
    offered, chart_value = _offered_images(manifest, build)
    requested = manifest["targetRuntime"]["properties"].get(PYTHON_VERSION)
    default = build.default_python_version if build.default_python_version in offered else min(offered)
    version = default if requested is None else requested
    if version not in offered and _has_conda(manifest):
        version = default
    if version not in offered:
        raise NotOfferedError(
            "PythonVersionNotOffered",
            f"properties.pythonVersion {version} is not offered here: use one of"
            f" {', '.join(sorted(offered))}, or ask for a base image in the chart's {chart_value}",
        )
    return BaseImageChoice(offered[version], version)


def _offered_images(manifest: Json, build: BuildSettings) -> tuple[dict[str, str], str]:
    """Return the base images for a Manifest by Python version, and the chart value that lists them."""
    is_spark, has_cuda = _is_spark(manifest), _has_cuda(manifest)
    if is_spark and has_cuda:
        raise NotOfferedError(
            "RuntimeNotSupported",
            f"runtimeType {RuntimeType.SPARK_PYTHON} and properties.{INSTALL_CUDA} exclude each other: remove"
            " one of them",
        )
    if is_spark and not build.spark_images:
        raise NotOfferedError(
            "RuntimeNotSupported",
            f"runtimeType {RuntimeType.SPARK_PYTHON} is not offered here: it needs a base image with Java and"
            " pyspark in the chart's build.sparkImages",
        )
    if has_cuda and not build.cuda_images:
        raise NotOfferedError(
            "RuntimeNotSupported",
            f"properties.{INSTALL_CUDA} is not offered here: it needs a base image with CUDA in the chart's"
            " build.cudaImages",
        )
    if is_spark:
        return build.spark_images, "build.sparkImages"
    if has_cuda:
        return build.cuda_images, "build.cudaImages"
    return build.base_images, "build.baseImages"


def _has_cuda(manifest: Json) -> bool:
    return bool(manifest["targetRuntime"]["properties"].get(INSTALL_CUDA) == "true")


def _is_spark(manifest: Json) -> bool:
    return bool(manifest["targetRuntime"]["runtimeType"] == RuntimeType.SPARK_PYTHON)


def _has_conda(manifest: Json) -> bool:
    return bool(manifest["targetRuntime"]["properties"].get(CONDA_ENV_FILE, "").strip())


def builder(manifest: Json, settings: OperatorSettings) -> BuilderKind:
    """Return the builder that a Manifest requests, or the default of the chart.

    Raises NotOfferedError if the chart does not offer it, or names platforms that it cannot build for.
    """
    properties = manifest["targetRuntime"]["properties"]
    requested = BuilderKind(properties.get(BUILDER, settings.build.builder))
    if requested not in settings.build.builders:
        raise NotOfferedError(
            "BuilderNotOffered",
            f"properties.builder {requested} is not offered here: leave it out, or ask for"
            " build.docker.enabled in the chart",
        )
    if requested is BuilderKind.DOCKER and settings.build.platforms:
        raise NotOfferedError(
            "BuilderNotOffered",
            "properties.builder Docker makes images for the platform of its node only, and the chart's"
            f" build.platforms has {', '.join(settings.build.platforms)}: leave builder out",
        )
    return requested


def claims_of(request: BuildRequest, namespace: str, settings: OperatorSettings) -> tuple[str, ...]:
    """Return the names of the PersistentVolumeClaims that a build reads, sorted.

    Raises NotOfferedError for a claim that the chart does not offer to the Image's namespace.
    """
    offered = settings.sources.claims_for(namespace)
    found = {claim: url for url in _urls(request) if (claim := claim_name(url)) is not None}
    for claim, url in found.items():
        if claim not in offered:
            raise NotOfferedError(
                "ClaimNotOffered",
                f"{redact(url)}: the claim {claim!r} is not offered to namespace {namespace}, which may read"
                f" {', '.join(offered) or 'no claim'}; the chart's build.sources.claims lists them",
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
    """Return the request of a build, without its tag: the hash of the inputs needs the base image's digest.

    `content` and `manifest` are the contents of the Image's and the Manifest's version. `models` has the
    content of each Model's version by id (`name:version`), in the order of the Manifest.

    Raises NotOfferedError like base_image and builder.
    """
    properties = manifest["targetRuntime"]["properties"]
    base = base_image(manifest, settings)
    return BuildRequest(
        repository=f"{settings.registry.push}/{settings.registry.repository}/{namespace}/{image}",
        tag="",
        builder=builder(manifest, settings),
        platforms=settings.build.platforms,
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
        cuda_version=settings.build.cuda_version if _has_cuda(manifest) else None,
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
    """Return the URLs of models and assets as JSON, without any part that could be a credential."""
    named = {**models} | {f"asset {asset['id']}": asset for asset in manifest["assets"]}
    urls = {name: redact(data["url"]) for name, data in named.items() if data.get("url")}
    return json.dumps(urls, sort_keys=True)


def _registrations(image: Json, manifest: Json, models: Mapping[str, Json]) -> dict[str, str]:
    """Return the annotations `registration` of the objects that are in an image, as part of its inputs.

    The key of a Model is its name, so that a revert, which creates a new version of the old content, finds
    the old image. If two versions of a Model are in one image, their keys are their ids.
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
    secret = data.get("secretRef", {}).get("name", "")
    return Source(
        url=data.get("url"),
        content=data.get("content"),
        digest=data.get("digest"),
        unpack=data.get("unpack", False),
        credentials=usable_keys(data.get("url", ""), credentials.secrets.get(secret, {})),
        identity=identity_of(data, credentials.identities),
    )
