"""Objects at s3://bucket/key, gs://bucket/key and abfs[s]://container@account.dfs.core.windows.net/path.

Credentials, as keys of the Secret that `secretRef` names. The keys have the names that the clouds' tools use:

    s3      AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, AWS_SESSION_TOKEN, AWS_REGION (default us-east-1),
            AWS_ENDPOINT_URL (another server that speaks S3)
    gs      GOOGLE_SERVICE_ACCOUNT_KEY (the JSON of the key; its gcs_base_url is another server)
    abfs    AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_KEY, or all of AZURE_STORAGE_CLIENT_ID,
            AZURE_STORAGE_CLIENT_SECRET and AZURE_STORAGE_TENANT_ID; AZURE_ENDPOINT (another server)

Without a Secret the request is anonymous: a user's URL must not be read with the identity of the build's pod.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import unquote, urlsplit

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore, from_url

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import endpoints
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceUnavailableError,
)
from modelyard.contract.urls import (
    file_name,
    scheme,
)
from modelyard.redaction import (
    redact,
    redact_text,
)
from modelyard.streams.range_stream import RangeStream

# Only secrets and addresses: options with names of files would read files of the build pod.
_KEYS: Final = {
    "s3": ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "SESSION_TOKEN", "REGION", "ENDPOINT_URL"),
    "gs": ("SERVICE_ACCOUNT_KEY",),
    "abfs": (
        "STORAGE_ACCOUNT_KEY",
        "STORAGE_SAS_KEY",
        "STORAGE_CLIENT_ID",
        "STORAGE_CLIENT_SECRET",
        "STORAGE_TENANT_ID",
        "ENDPOINT",
    ),
}
_PREFIX: Final = {"s3": "AWS_", "gs": "GOOGLE_", "abfs": "AZURE_"}
_ADDRESSES: Final = frozenset({"AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_ENDPOINT"})
_CHUNK_BYTES: Final = 1024 * 1024
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_REQUEST_TIMEOUT: Final = timedelta(minutes=5)
"""Limit of one request with its body: obstore has no other timeout. The next request resumes the download."""


@contextmanager
def stored_object(source: Source, context: FetchContext) -> Iterator[StoredObject]:
    """Open an object. Raises SourceInvalidError for an invalid URL or invalid credentials."""
    url = source.url or ""
    store, key = _open(url, source.credentials, context)
    yield StoredObject(store, key, url, source.digest)


class StoredObject:
    """A RemoteFile in an object store."""

    def __init__(self, store: ObjectStore, key: str, url: str, digest: str | None) -> None:
        self.name = file_name(url)
        self.digest = digest
        self._store = store
        self._key = key
        self._url = redact(url)
        self._etag: str | None = None

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        start = offset if self._etag else 0
        options: Any = {"range": {"offset": start}, "if_match": self._etag} if start else {}
        try:
            response = obstore.get(self._store, self._key, options=options)
            self._etag = _check_etag(response.meta["e_tag"], self._etag if start else None)
            chunks = map(bytes, response.stream(min_chunk_size=_CHUNK_BYTES))
            yield RangeStream(start, response.meta["size"], chunks)
        except (NotFoundError, FileNotFoundError):  # obstore documents the first and raises the second
            raise SourceNotFoundError(
                f"{self._url} does not exist: correct the url, or upload the object"
            ) from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise SourceForbiddenError(
                f"{self._url} must not be read with these credentials: correct the Secret of secretRef"
            ) from None
        except PreconditionError:
            self._etag = None  # the next attempt starts at 0 and detects a change
            raise SourceUnavailableError(f"{self._url} may have changed during its download") from None
        except BaseError as error:
            raise SourceUnavailableError(f"{self._url} cannot be downloaded: {_first_line(error)}") from None


def _open(url: str, credentials: dict[str, str], context: FetchContext) -> tuple[ObjectStore, str]:
    kind = "abfs" if scheme(url) == "abfss" else scheme(url)
    config = store_config(kind, credentials)
    parts = urlsplit(url)
    key = unquote(parts.path).lstrip("/")
    if not key:
        raise SourceInvalidError(f"{redact(url)} names no object: write the bucket and the key")
    options: Any = {
        "allow_http": any(endpoint.startswith("http://") for endpoint in endpoints(config)),
        "connect_timeout": _CONNECT_TIMEOUT,
        "timeout": _REQUEST_TIMEOUT,
    }
    if context.access.ca_bundle:
        options["root_certificate"] = context.access.ca_bundle.read_bytes()
    retry: Any = {"max_retries": 0}  # FileStream retries: it resumes the download, and logs each retry
    try:
        bucket = f"{parts.scheme}://{parts.netloc}"
        open_store = cast("Callable[..., ObjectStore]", from_url)  # the overloads need a constant scheme
        return open_store(bucket, config=config, client_options=options, retry_config=retry), key
    except (BaseError, ValueError) as error:
        raise SourceInvalidError(f"{redact(url)}: {_first_line(error)}") from None


def store_config(kind: str, credentials: dict[str, str]) -> dict[str, Any]:
    """Return the options of a kind of store (s3, gs, abfs), anonymous if no credential is a secret.

    Raises SourceInvalidError if the Secret has none of the keys of this kind.
    """
    keys = [_PREFIX[kind] + key for key in _KEYS[kind]]
    config: dict[str, Any] = {key: credentials[key] for key in keys if key in credentials}
    if credentials and not config:
        raise SourceInvalidError(f"the Secret of secretRef has none of the keys {', '.join(keys)}")
    if not config.keys() - _ADDRESSES:
        config[f"{_PREFIX[kind]}SKIP_SIGNATURE"] = "true"
    return config


def _check_etag(etag: str | None, previous: str | None) -> str | None:
    """Return the ETag. Raises PreconditionError if it has changed: some stores ignore If-Match."""
    if previous and etag != previous:
        raise PreconditionError
    return etag


def _first_line(error: Exception) -> str:
    """Return the message without the debug output of obstore below it."""
    return redact_text(str(error).partition("\n")[0])
