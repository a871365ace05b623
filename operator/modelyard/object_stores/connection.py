"""Opens a bucket with obstore, and reads the library's errors."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Final, cast
from urllib.parse import urlsplit

from obstore.exceptions import BaseError
from obstore.store import ObjectStore, from_url

from modelyard.object_stores.credentials import StoreInvalidError, endpoints
from modelyard.redaction import redact, redact_text

PANIC_MESSAGE: Final = "the library for object stores rejects the url, the Secret or the response: check them"
_CONNECT_TIMEOUT: Final = timedelta(seconds=10)
_REQUEST_TIMEOUT: Final = timedelta(minutes=5)
"""Limit of one request with its body: obstore has no other timeout."""


def open_bucket(
    url: str,
    config: Mapping[str, str],
    *,
    ca_certificates: bytes | None = None,
    proxy_url: str | None = None,
    timeout: timedelta = _REQUEST_TIMEOUT,
) -> ObjectStore:
    """Return the bucket of a URL; the path of the URL is not used.

    `config` is that of `store_config`, `ca_certificates` are PEM. The library repeats no request: its callers
    do, and tell of it. Raises StoreInvalidError for a URL or options that the library rejects.
    """
    parts = urlsplit(url)
    options: Any = {
        "allow_http": any(endpoint.lower().startswith("http:") for endpoint in endpoints(config)),
        "connect_timeout": _CONNECT_TIMEOUT,
        "timeout": timeout,
    }
    if ca_certificates:
        options["root_certificate"] = ca_certificates
    if proxy_url:
        options["proxy_url"] = proxy_url
    retry: Any = {"max_retries": 0}
    open_store = cast("Callable[..., ObjectStore]", from_url)  # the overloads need a constant scheme
    bucket = f"{parts.scheme}://{parts.netloc}"
    try:
        return open_store(bucket, config=dict(config), client_options=options, retry_config=retry)
    except (BaseError, ValueError) as error:
        raise StoreInvalidError(f"{redact(url)}: {first_line(error)}") from None
    except BaseException as error:
        if not is_panic(error):
            raise
        raise StoreInvalidError(f"{redact(url)}: {PANIC_MESSAGE}") from None


def is_panic(error: BaseException) -> bool:
    """Return True for a panic of the library. Its class is a BaseException that no module exports."""
    return type(error).__name__ == "PanicException"


def first_line(error: BaseException) -> str:
    """Return the message without the debug output of obstore below it, and without credentials in URLs."""
    return redact_text(str(error).partition("\n")[0])
