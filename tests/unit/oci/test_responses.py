"""Responses of registries and their errors."""

from __future__ import annotations

import httpx
import pytest

from modelyard.oci.errors import RegistryError, RegistryRefusedError
from modelyard.oci.reference import Reference
from modelyard.oci.responses import (
    raise_for_status,
    read_bounded,
    retry_after_seconds,
)

REFERENCE = Reference("r.example", "models/x", "1")


@pytest.mark.parametrize(
    ("status", "code", "transient"),
    [
        (400, "RegistryRefused", False),
        (401, "RegistryForbidden", False),
        (403, "RegistryForbidden", False),
        (404, "RegistryNotFound", False),
        (405, "RegistryUnsupported", False),
        (408, "RegistryUnavailable", True),
        (413, "RegistryTooLarge", False),
        (429, "RegistryUnavailable", True),
        (501, "RegistryUnsupported", False),
        (502, "RegistryUnavailable", True),
    ],
)
def test_status_has_a_code(status: int, code: str, transient: bool) -> None:
    with pytest.raises(
        RegistryError, match=f"r.example answers {status} .* for r.example/models/x:1"
    ) as failure:
        raise_for_status(httpx.Response(status), REFERENCE, has_credential=True)
    assert (failure.value.code, failure.value.transient) == (code, transient)


def test_success_raises_nothing() -> None:
    raise_for_status(httpx.Response(202), REFERENCE, has_credential=False)


def test_message_contains_the_error_of_the_body_without_credentials() -> None:
    error = {"code": "DENIED", "message": "no\naccess at https://me:s3cret@r.example/x"}
    with pytest.raises(RegistryError, match=r"\(DENIED: no access at https://r.example/x\)") as failure:
        raise_for_status(httpx.Response(403, json={"errors": [error]}), REFERENCE, has_credential=False)
    assert "there are no credentials for r.example" in str(failure.value)


def test_unsupported_error_code_takes_precedence_over_the_status() -> None:
    response = httpx.Response(400, json={"errors": [{"code": "UNSUPPORTED"}]})
    with pytest.raises(RegistryRefusedError) as failure:
        raise_for_status(response, REFERENCE, has_credential=False)
    assert failure.value.code == "RegistryUnsupported"


@pytest.mark.parametrize(
    ("value", "seconds"), [("7", 7.0), ("Wed, 21 Oct 2026 07:28:00 GMT", None), ("", None)]
)
def test_retry_after_is_a_number_of_seconds(value: str, seconds: float | None) -> None:
    assert retry_after_seconds(httpx.Response(503, headers={"Retry-After": value})) == seconds


def test_long_body_is_refused() -> None:
    assert read_bounded(httpx.Response(200, content=b"1234"), 4, "the list") == b"1234"
    with pytest.raises(RegistryRefusedError, match="the list is larger than 4 bytes"):
        read_bounded(httpx.Response(200, content=b"12345"), 4, "the list")


@pytest.mark.parametrize("body", [b'{"errors": ["x"]}', b'{"errors": 1}', b"[" * 10_000, b"[]", b"9" * 5000])
def test_malformed_error_body_is_ignored(body: bytes) -> None:
    with pytest.raises(RegistryRefusedError):
        raise_for_status(httpx.Response(400, content=body), REFERENCE, has_credential=False)
