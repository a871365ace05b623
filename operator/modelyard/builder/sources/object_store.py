"""Objects at s3://bucket/key, gs://bucket/key and abfs[s]://container@account.dfs.core.windows.net/path.

Credentials, as keys of the Secret that `secretRef` names. The keys have the names that the clouds' tools use.
A set must be complete, see object_stores/credentials.py:

    s3      AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, with or without AWS_SESSION_TOKEN;
            AWS_REGION (default us-east-1); AWS_ENDPOINT_URL (another server that speaks S3)
    gs      GOOGLE_SERVICE_ACCOUNT_KEY (the JSON of the key; its gcs_base_url is another server)
    abfs    AZURE_STORAGE_ACCOUNT_KEY, or AZURE_STORAGE_SAS_KEY, or all of AZURE_STORAGE_CLIENT_ID,
            AZURE_STORAGE_CLIENT_SECRET and AZURE_STORAGE_TENANT_ID; AZURE_ENDPOINT (another server)

Without a Secret the request is anonymous: a user's URL must not be read with the identity of the build's pod.
All connections go through the egress proxy if the platform denies networks. The library follows redirects and
resolves names without the audit hook of the policy.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final
from urllib.parse import unquote, urlsplit
from urllib.request import getproxies

import obstore
from obstore.exceptions import (
    BaseError,
    NotFoundError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import ObjectStore

from modelyard.builder.sources.cloud_identity import ADDRESSES, identity_config
from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_proxy import EgressProxy
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.contract.urls import (
    file_name,
    scheme,
)
from modelyard.object_stores.connection import PANIC_MESSAGE, first_line, is_panic, open_bucket
from modelyard.object_stores.credentials import StoreInvalidError, forget_cloud_identity, store_config
from modelyard.redaction import (
    redact,
)
from modelyard.streams.range_stream import RangeStream

_PLATFORM_PROXIES: Final = frozenset({"http", "https", "all"})
_CHUNK_BYTES: Final = 1024 * 1024


@contextmanager
def stored_object(source: Source, context: FetchContext) -> Iterator[StoredObject]:
    """Open an object. Raises SourceInvalidError for an invalid URL or invalid credentials."""
    with ExitStack() as stack:
        proxy = None
        if context.policy.denied:
            if getproxies().keys() & _PLATFORM_PROXIES:  # such a proxy resolves names itself
                context.policy.check_endpoints(source.credentials)
            proxy = stack.enter_context(EgressProxy(context.policy, proxies=os.environ))
        url = source.url or ""
        config = _config(source, context)
        store, key = _open(url, config, context, proxy)
        secrets = tuple(value for key, value in config.items() if source.identity and key not in ADDRESSES)
        yield StoredObject(store, key, url, source.digest, proxy, secrets)


class StoredObject:
    """A RemoteFile in an object store."""

    def __init__(
        self,
        store: ObjectStore,
        key: str,
        url: str,
        digest: str | None,
        proxy: EgressProxy | None,
        secrets: tuple[str, ...] = (),
    ) -> None:
        """`secrets` are credentials that no message may contain, in addition to those of the request."""
        self.name = file_name(url)
        self.digest = digest
        self._store = store
        self._key = key
        self._url = redact(url)
        self._proxy = proxy
        self._secrets = secrets
        self._etag: str | None = None

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        with self._source_errors():
            yield self._open(offset)

    def _open(self, offset: int) -> RangeStream:
        start = offset if self._etag else 0
        options: Any = {"range": {"offset": start}, "if_match": self._etag} if start else {}
        response = obstore.get(self._store, self._key, options=options)
        self._etag = _check_etag(response.meta["e_tag"], self._etag if start else None)
        chunks = map(bytes, response.stream(min_chunk_size=_CHUNK_BYTES))
        return RangeStream(start, response.meta["size"], chunks)

    @contextmanager
    def _source_errors(self) -> Iterator[None]:
        try:
            with self._denied_hosts():
                yield
        except (NotFoundError, FileNotFoundError):  # obstore documents the first and raises the second
            raise SourceNotFoundError(
                f"{self._url} does not exist: correct the url, or upload the object"
            ) from None
        except (PermissionDeniedError, UnauthenticatedError):
            raise SourceForbiddenError(
                f"{self._url} must not be read with these credentials: correct the Secret of secretRef, or"
                " the rights of the account that serviceAccountName leads to"
            ) from None
        except PreconditionError:
            self._etag = None  # the next attempt starts at 0 and detects a change
            raise SourceUnavailableError(f"{self._url} may have changed during its download") from None
        except BaseError as error:
            reason = first_line(error)
            for secret in self._secrets:
                reason = reason.replace(secret, "***")
            raise SourceUnavailableError(f"{self._url} cannot be downloaded: {reason}") from None
        except BaseException as error:
            if not is_panic(error):
                raise
            raise SourceRefusedError(f"{self._url}: {PANIC_MESSAGE}") from None

    @contextmanager
    def _denied_hosts(self) -> Iterator[None]:
        """Raise SourceDeniedError in place of the error that a refused connection causes in the library."""
        try:
            yield
        except (BaseError, FileNotFoundError) as error:
            if self._proxy:
                self._proxy.check(error)
            raise


def _config(source: Source, context: FetchContext) -> dict[str, Any]:
    """Return the options of the library with the credentials of a source."""
    forget_cloud_identity()
    if source.identity:
        return dict(identity_config(source.identity, context))
    kind = scheme(source.url or "")
    try:
        return store_config("abfs" if kind == "abfss" else kind, source.credentials)
    except StoreInvalidError as error:
        raise SourceInvalidError(str(error)) from None


def _open(
    url: str, config: dict[str, Any], context: FetchContext, proxy: EgressProxy | None
) -> tuple[ObjectStore, str]:
    parts = urlsplit(url)
    key = unquote(parts.path).lstrip("/")
    if not key:
        raise SourceInvalidError(f"{redact(url)} names no object: write the bucket and the key")
    try:
        bucket = open_bucket(
            url,
            config,
            ca_certificates=context.access.ca_bundle.read_bytes() if context.access.ca_bundle else None,
            proxy_url=proxy.url if proxy else None,
        )
    except StoreInvalidError as error:
        raise SourceInvalidError(str(error)) from None
    return bucket, key


def _check_etag(etag: str | None, previous: str | None) -> str | None:
    """Return the ETag. Raises PreconditionError if it has changed: some stores ignore If-Match."""
    if previous and etag != previous:
        raise PreconditionError
    return etag
