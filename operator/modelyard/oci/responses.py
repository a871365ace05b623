"""Responses of registries: their errors, their bodies, and digests."""

from __future__ import annotations

import contextlib
import hashlib
import json
import re
from typing import Final

import httpx

from modelyard.oci.errors import (
    RegistryError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRangeError,
    RegistryRefusedError,
    RegistryTooLargeError,
    RegistryUnavailableError,
    RegistryUnsupportedError,
)
from modelyard.oci.reference import Reference
from modelyard.redaction import redact_text

_MAX_ERROR_BYTES: Final = 16 * 1024
_MAX_DETAIL_CHARACTERS: Final = 300
_MALFORMED: Final = (ValueError, LookupError, TypeError, AttributeError, RecursionError)
_CONTROL_CHARACTERS: Final = re.compile(r"[\x00-\x1f\x7f]+")


def raise_for_status(response: httpx.Response, reference: Reference, *, has_credential: bool) -> None:
    """Raise the RegistryError for the status of a response, unless it is a success."""
    if response.is_success:
        return
    status = response.status_code
    detail = _detail(response)
    message = f"{reference.registry} answers {status_text(status)} for {reference}{detail}"
    if status == 404:
        raise RegistryNotFoundError(message)
    if status in {401, 403}:
        advice = "check the credentials" if has_credential else "there are no credentials"
        raise RegistryForbiddenError(f"{message}: {advice} for {reference.registry}")
    if status == 413:
        raise RegistryTooLargeError(
            f"{message}: the registry, or a proxy in front of it, refuses a request of this size"
            " (nginx: raise client_max_body_size)"
        )
    if status == 416:
        raise RegistryRangeError(message)
    if status in {408, 425, 429} or (status >= 500 and status != 501):
        raise RegistryUnavailableError(message, retry_after_seconds=retry_after_seconds(response))
    if status in {405, 501} or "UNSUPPORTED" in detail:
        raise RegistryUnsupportedError(message)
    raise RegistryRefusedError(message)


def error_without_response(error: httpx.HTTPError, reference: Reference) -> RegistryError:
    """Return the RegistryError for a request that failed without a response."""
    if isinstance(error, httpx.TransportError):
        reason = redact_text(str(error)) or type(error).__name__
        return RegistryUnavailableError(f"{reference.registry} cannot be reached for {reference}: {reason}")
    return RegistryRefusedError(f"{reference.registry} redirects too often for {reference}")


def status_text(status: int) -> str:
    """Return the status with the phrase of HTTP. The server's own phrase may repeat the request."""
    return f"{status} {httpx.codes.get_reason_phrase(status)}".rstrip()


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Return the seconds in Retry-After, None without the header or if it is a date."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def read_bounded(response: httpx.Response, limit_bytes: int, name: str) -> bytes:
    """Return the body of a response. Raises RegistryRefusedError if it exceeds the limit.

    `name` describes the body in the message.
    """
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit_bytes:
            raise RegistryRefusedError(f"{name} is larger than {limit_bytes} bytes")
    return bytes(body)


def digest_of(body: bytes) -> str:
    """Return the digest of a body, sha256:<64 hex>."""
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _detail(response: httpx.Response) -> str:
    """Return ` (CODE: message)` from an error body of the specified form, an empty text for other bodies.

    https://github.com/opencontainers/distribution-spec/blob/main/spec.md#error-codes
    """
    with contextlib.suppress(*_MALFORMED, RegistryRefusedError):
        error = json.loads(read_bounded(response, _MAX_ERROR_BYTES, "the error"))["errors"][0]
        text = ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
        return f" ({redact_text(_CONTROL_CHARACTERS.sub(' ', text))[:_MAX_DETAIL_CHARACTERS]})"
    return ""
