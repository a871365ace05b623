"""OCI artifacts at oci://registry/repository:tag, as oras (https://oras.land) pushes them.

Credentials, as keys of the Secret that `secretRef` names:

    username, password    Basic authentication, or exchanged for a token if the registry demands it
    token                 Bearer authentication
    .dockerconfigjson     as in a Secret of type kubernetes.io/dockerconfigjson

Without a Secret the request is anonymous. The registry credentials of the build are used only for the
repositories that the platform offers, see registry_login.py.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import httpx

from modelyard.builder.archive_paths import inner_path
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.header_value import header_value
from modelyard.builder.sources.http import same_origin
from modelyard.builder.sources.registry_login import RegistryLogin
from modelyard.builder.sources.remote_file import RemoteFolder
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceDeniedError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.contract.urls import clean_file_name
from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    ReferenceInvalidError,
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryUnavailableError,
)
from modelyard.oci.reference import (
    Reference,
    is_digest,
    parse_reference,
)
from modelyard.oci.registry_config import (
    Credential,
    credential_of,
)
from modelyard.streams.range_stream import (
    RangeStream,
    WrongRangeError,
    range_stream,
)

_TITLE: Final = "org.opencontainers.image.title"
_ANONYMOUS_ADVICE: Final = (
    ", which the build uses for repositories in build.sources.repositories only: set secretRef"
)
_EMPTY_TYPE: Final = "application/vnd.oci.empty.v1+json"


class _UrlCheck:
    """Applies the egress policy to each URL of a download: of the registry, its token service and redirects.

    The scheme `oci` includes https. It includes http for a registry that the platform reaches by http.
    """

    def __init__(self, context: FetchContext, reference: Reference) -> None:
        self._policy = context.policy
        self._registry = reference.registry
        self._base = httpx.URL(context.access.base_url(reference.registry))

    def __call__(self, url: httpx.URL) -> None:
        """Raise SourceDeniedError for a URL that the policy does not allow."""
        self._policy.check_literal(url.host)
        if url.scheme == "https" or same_origin(url, self._base):
            return
        try:
            self._policy.check_scheme(str(url))
        except SourceDeniedError as error:
            raise SourceDeniedError(f"{self._registry} leads to {url.host}: {error.message}") from None


@contextmanager
def artifact(source: Source, context: FetchContext) -> Iterator[BlobFile | RemoteFolder]:
    """Open an artifact: as a file if it has one file, else as a folder, which requires `unpack`.

    `source.digest` is the digest of the file, or of the manifest for a folder. Raises SourceError and its
    subclasses, and UnsafeArchiveError for paths of files that lead outside of the folder.
    """
    reference = _reference(source.url or "")
    credential = _credential(source.credentials, reference.registry)
    # Without an entry for the registry, a .dockerconfigjson has no credential: the request is anonymous, too.
    login = RegistryLogin() if source.credentials else context.login
    with RegistryClient(
        login.access_for(reference, context.access),
        credential=credential,
        retry=context.retry,
        log=context.log,
        check=_UrlCheck(context, reference),
    ) as registry:
        with _source_errors("" if source.credentials else _ANONYMOUS_ADVICE):
            manifest, digest = registry.manifest(reference)
        files = [BlobFile(registry, reference, layer) for layer in _layers(manifest, reference)]
        if len(files) > 1:
            yield _folder(files, source, digest, reference)
            return
        if source.digest not in {None, files[0].digest}:
            raise DigestMismatchError(
                f"the file has the digest {files[0].digest}, not {source.digest}: correct digest or url"
            )
        yield files[0]


class BlobFile:
    """A RemoteFile in a layer of an artifact."""

    def __init__(self, registry: RegistryClient, reference: Reference, layer: dict[str, Any]) -> None:
        self.title = str((layer.get("annotations") or {}).get(_TITLE, ""))
        self.name = clean_file_name(self.title.rstrip("/").rpartition("/")[2])
        self.digest: str = layer["digest"]
        self._size: int = layer["size"]
        self._registry = registry
        self._reference = reference

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        with (
            _source_errors(),
            self._registry.open_blob(
                self._reference, self.digest, offset=offset, size=self._size
            ) as response,
        ):
            try:
                yield range_stream(response, offset)
            except WrongRangeError as error:
                raise SourceUnavailableError(f"{self._reference}: {error}") from None


def _reference(url: str) -> Reference:
    try:
        return parse_reference(url.partition("://")[2])
    except ReferenceInvalidError as error:
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
        raise SourceRefusedError(f"{reference} is an index of several images: push the file with oras")
    if not all(_is_descriptor(layer) for layer in layers):
        raise SourceRefusedError(f"the manifest of {reference} is malformed: push the file again")
    filled = [layer for layer in layers if layer["size"] and layer.get("mediaType") != _EMPTY_TYPE]
    if not filled:
        raise SourceNotFoundError(f"{reference} has no file in it: push the file with oras")
    return filled


def _is_descriptor(layer: Any) -> bool:
    return (
        isinstance(layer, dict)
        and is_digest(layer.get("digest"))
        and isinstance(layer.get("size"), int)
        and layer["size"] >= 0
        and isinstance(layer.get("annotations") or {}, dict)
    )


def _folder(files: list[BlobFile], source: Source, digest: str, reference: Reference) -> RemoteFolder:
    if not all(file.name for file in files):
        raise SourceRefusedError(
            f"{reference} has {len(files)} layers with no file names: push the file with oras"
        )
    if not source.unpack:
        raise SourceRefusedError(
            f"{reference} has {len(files)} files ({', '.join(str(file.name) for file in files[:5])}):"
            " set unpack to use them as a folder, or push one file"
        )
    paths = [inner_path(file.title) for file in files]
    if len(set(paths)) < len(paths) or any(path in other.parents for path in paths for other in paths):
        raise SourceRefusedError(f"{reference} has two files with the same path: rename one of them")
    if source.digest not in {None, digest}:
        raise DigestMismatchError(
            f"the manifest has the digest {digest}, not {source.digest}: correct digest or url"
        )
    return RemoteFolder(dict(zip(paths, files, strict=True)), digest)


@contextmanager
def _source_errors(advice: str = "") -> Iterator[None]:
    """Raise SourceError in place of RegistryError. `advice` completes the message of a forbidden access."""
    try:
        yield
    except RegistryError as error:
        raise _as_source_error(error, advice) from None


def _as_source_error(error: RegistryError, advice: str) -> SourceError:
    kinds: dict[type[RegistryError], type[SourceError]] = {
        RegistryNotFoundError: SourceNotFoundError,
        RegistryForbiddenError: SourceForbiddenError,
        RegistryUnavailableError: SourceUnavailableError,
    }
    message = error.message + (advice if isinstance(error, RegistryForbiddenError) else "")
    return kinds.get(type(error), SourceRefusedError)(message, retry_after_seconds=error.retry_after_seconds)
