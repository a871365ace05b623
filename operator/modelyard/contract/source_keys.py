"""Keys of a Secret that the sources of each URL scheme use; docs/sources.md describes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from modelyard.contract.urls import scheme

HEADER_PREFIX: Final = "header."  # header.<Name>: any header of an HTTP request

_HTTP: Final = ("username", "password", "token")
_AZURE: Final = (
    "AZURE_STORAGE_ACCOUNT_KEY",
    "AZURE_STORAGE_SAS_KEY",
    "AZURE_STORAGE_CLIENT_ID",
    "AZURE_STORAGE_CLIENT_SECRET",
    "AZURE_STORAGE_TENANT_ID",
    "AZURE_ENDPOINT",
)
_KEYS: Final[dict[str, tuple[str, ...]]] = {
    "http": _HTTP,
    "https": _HTTP,
    "oci": (*_HTTP, ".dockerconfigjson"),
    "s3": (
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_REGION",
        "AWS_ENDPOINT_URL",
    ),
    "gs": ("GOOGLE_SERVICE_ACCOUNT_KEY",),
    "abfs": _AZURE,
    "abfss": _AZURE,
}
"""URL scheme → keys. A scheme that is absent uses no Secret."""


def usable_keys(url: str, data: Mapping[str, str]) -> dict[str, str]:
    """Return the keys, with their values, that a download from a URL uses; the others stay in the Secret."""
    names = _KEYS.get(scheme(url), ())
    return {key: value for key, value in data.items() if key in names or _is_header(url, key)}


def describe_keys(url: str) -> str:
    """Return the keys that a download from a URL can use as a list for people, empty for none."""
    headers = [f"{HEADER_PREFIX}<Name>"] if _takes_headers(url) else []
    return ", ".join([*_KEYS.get(scheme(url), ()), *headers])


def _is_header(url: str, key: str) -> bool:
    return _takes_headers(url) and key.startswith(HEADER_PREFIX)


def _takes_headers(url: str) -> bool:
    return scheme(url) in {"http", "https"}
