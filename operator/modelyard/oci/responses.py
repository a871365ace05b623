"""What an answer of a registry means: which error, and what the user can do."""

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
    RegistryRefusedError,
    RegistryTooLargeError,
    RegistryUnavailableError,
    RegistryUnsupportedError,
)
from modelyard.oci.reference import Reference
from modelyard.redaction import redact_text

_ERROR_BYTES: Final = 16 * 1024
_DETAIL_LENGTH: Final = 300
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]+")


def check(response: httpx.Response, reference: Reference, *, has_credential: bool) -> None:
    """Raises the RegistryError that an answer stands for, unless it is a success."""
    if response.is_success:
        return
    status = response.status_code
    detail = _detail(response)
    answer = f"{reference.registry} answers {status} {response.reason_phrase} for {reference}{detail}"
    if status == 404:
        raise RegistryNotFoundError(answer)
    if status in {401, 403}:
        known = "check the credentials" if has_credential else "there are no credentials"
        raise RegistryForbiddenError(f"{answer}: {known} for {reference.registry}")
    if status == 413:
        raise RegistryTooLargeError(
            f"{answer}: it, or a proxy in front of it (client_max_body_size of nginx), takes no such size"
        )
    if status in {408, 425, 429} or (status >= 500 and status != 501):
        raise RegistryUnavailableError(answer, retry_after_seconds=retry_after_seconds(response))
    if status in {405, 501} or "UNSUPPORTED" in detail:
        raise RegistryUnsupportedError(answer)
    raise RegistryRefusedError(answer)


def unreachable(error: httpx.HTTPError, reference: Reference) -> RegistryError:
    """The RegistryError for a request that got no answer."""
    if isinstance(error, httpx.TransportError):
        reason = redact_text(str(error)) or type(error).__name__
        return RegistryUnavailableError(f"{reference.registry} cannot be reached for {reference}: {reason}")
    return RegistryRefusedError(f"{reference.registry} redirects too often for {reference}")


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Retry-After when it is a number of seconds; its other form, a date, is left to the backoff."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def bounded(response: httpx.Response, limit_bytes: int, what: str) -> bytes:
    """The body; raises RegistryRefusedError when it is longer than the limit."""
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > limit_bytes:
            raise RegistryRefusedError(f"{what} is larger than {limit_bytes} bytes")
    return bytes(body)


def digest_of(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _detail(response: httpx.Response) -> str:
    """` (CODE: message)` from the body, whose form the specification gives; empty for any other."""
    with contextlib.suppress(ValueError, LookupError, TypeError, RegistryRefusedError):
        error = json.loads(bounded(response, _ERROR_BYTES, "the error"))["errors"][0]
        text = ": ".join(str(error[key]) for key in ("code", "message") if error.get(key))
        return f" ({redact_text(_CONTROLS.sub(' ', text))[:_DETAIL_LENGTH]})"
    return ""
