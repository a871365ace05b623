"""oci://registry/repository:tag, a file that was pushed with oras (https://oras.land) or alike.

Credentials, as keys of the Secret that `secretRef` names:

    username, password    Basic, or exchanged for a token when the registry asks so
    token                 a ready-made bearer token
    .dockerconfigjson     as in a Secret of type kubernetes.io/dockerconfigjson

Without a Secret those of the build's own registry configuration are used.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

from modelyard.build.access import Credential, credential_of, header_value
from modelyard.build.errors import (
    DigestMismatchError,
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryUnavailableError,
    RequestInvalidError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.build.fetch.download import Download, FetchContext, FetchedFile
from modelyard.build.paths import inner_path
from modelyard.build.reference import Reference, is_digest, parse_reference
from modelyard.build.registry import Registry
from modelyard.build.request import Source
from modelyard.build.urls import clean_file_name

_TITLE: Final = "org.opencontainers.image.title"
_EMPTY: Final = "application/vnd.oci.empty.v1+json"


def fetch_oci(
    source: Source, folder: Path, name: str, limit_bytes: int, context: FetchContext
) -> FetchedFile:
    """An artifact of one file becomes that file; of several, with `unpack`, a folder named `name` of them.

    `source.digest` is of the one file, or of the manifest of several. Raises SourceError and its kinds, and
    UnsafeArchiveError for file names that reach outside.
    """
    reference = _reference(source.url or "")
    credential = _credential(source.credentials, reference.registry)
    try:
        with Registry(context.access, credential=credential, retry=context.retry) as registry:
            manifest, digest = registry.manifest(reference)
            layers = _layers(manifest, reference)
            if len(layers) == 1:
                path = folder / (_title(layers[0]) or name)
                return _file(registry, reference, layers[0], path, source.digest, limit_bytes, context)
            _check_several(layers, source, digest, reference)
            left = limit_bytes
            for layer in layers:
                path = folder / name / inner_path(layer["annotations"][_TITLE])
                path.parent.mkdir(parents=True, exist_ok=True)
                left -= _file(registry, reference, layer, path, None, left, context).size
    except RegistryError as error:
        raise _as_source_error(error) from None
    return FetchedFile(folder / name, name, limit_bytes - left, digest)


def _reference(url: str) -> Reference:
    try:
        return parse_reference(url.partition("://")[2])
    except RequestInvalidError as error:
        raise SourceInvalidError(error.message) from None


def _credential(credentials: dict[str, str], registry: str) -> Credential | None:
    if not credentials:
        return None
    if "token" in credentials:
        return Credential(token=header_value(credentials["token"]))
    if "username" in credentials:
        return Credential(credentials["username"], credentials.get("password", ""))
    if ".dockerconfigjson" in credentials:
        return credential_of(credentials[".dockerconfigjson"], registry)
    raise SourceInvalidError(
        "the Secret of secretRef has none of the keys username, password, token, .dockerconfigjson"
    )


def _layers(manifest: dict[str, Any], reference: Reference) -> list[dict[str, Any]]:
    layers = manifest.get("layers")
    if not isinstance(layers, list):
        raise SourceRefusedError(f"{reference} is an index of several images, not an artifact with a file")
    if not all(isinstance(layer, dict) and is_digest(layer.get("digest")) for layer in layers):
        raise SourceRefusedError(f"the manifest of {reference} is damaged")
    filled = [layer for layer in layers if layer.get("size") and layer.get("mediaType") != _EMPTY]
    if not filled:
        raise SourceNotFoundError(f"{reference} has no file in it")
    return filled


def _title(layer: dict[str, Any]) -> str | None:
    title = str((layer.get("annotations") or {}).get(_TITLE, ""))
    return clean_file_name(title.rstrip("/").rpartition("/")[2])


def _check_several(layers: list[dict[str, Any]], source: Source, digest: str, reference: Reference) -> None:
    titles = [_title(layer) for layer in layers]
    if None in titles:
        raise SourceRefusedError(
            f"{reference} has {len(layers)} layers with no file names: push the file with oras"
        )
    if not source.unpack:
        raise SourceRefusedError(
            f"{reference} has {len(layers)} files ({', '.join(map(str, titles[:5]))}):"
            " set unpack to get them as a folder, or push one file"
        )
    paths = [inner_path(layer["annotations"][_TITLE]) for layer in layers]
    if len(set(paths)) < len(paths) or any(path in other.parents for path in paths for other in paths):
        raise SourceRefusedError(f"{reference} has two files of the same name")
    if source.digest not in {None, digest}:
        raise DigestMismatchError(f"the manifest has the digest {digest}, not {source.digest}")


def _file(
    registry: Registry,
    reference: Reference,
    layer: dict[str, Any],
    path: Path,
    digest: str | None,
    limit_bytes: int,
    context: FetchContext,
) -> FetchedFile:
    with Download(path, limit_bytes, context) as download:

        def attempt() -> None:
            with registry.blob(reference, layer["digest"], offset=download.size) as response:
                download.receive(response)

        context.retry.run(attempt, on_retry=context.log)
        return download.finish(digest or layer["digest"])


def _as_source_error(error: RegistryError) -> SourceError:
    kinds: dict[type[RegistryError], type[SourceError]] = {
        RegistryNotFoundError: SourceNotFoundError,
        RegistryForbiddenError: SourceForbiddenError,
        RegistryUnavailableError: SourceUnavailableError,
    }
    return kinds.get(type(error), SourceRefusedError)(error.message)
