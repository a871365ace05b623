"""URLs of models, assets and requirements: scheme, claim and file name."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlunsplit

from modelyard.redaction import URL, host_of, split_url

_UNFIT_FOR_A_FILE_NAME: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_FILE_NAME_BYTES: Final = 255  # of ext4, xfs and overlayfs
PACKAGE_SUFFIXES: Final = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")


def without_userinfo(url: str) -> str:
    """The URL without `user:password@`: the same bytes, whoever asks."""
    parts = split_url(url)
    return urlunsplit(parts._replace(netloc=host_of(parts))) if parts else url


def scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def claim_name(url: str) -> str | None:
    """The claim's name in a `pvc://claim/path`; None for another URL."""
    parts = split_url(url)
    return parts.netloc if parts and parts.scheme == "pvc" else None


def is_http(url: str) -> bool:
    return scheme(url) in {"http", "https"}


def requirements_url(requirements: str) -> str | None:
    """The URL of the requirements, or None when they are written out.

    A requirement may itself be the URL of a package (https://peps.python.org/pep-0508/), told by its ending.
    """
    text = requirements.strip()
    if len(text.split()) != 1 or not URL.fullmatch(text):
        return None
    parts = split_url(text)
    return None if parts and parts.path.lower().endswith(PACKAGE_SUFFIXES) else text


def file_name(url: str | None) -> str | None:
    """The last path segment, decoded and fit for a file name; None when the URL names no file."""
    parts = split_url(url or "")
    if parts is None or parts.scheme in {"data", "oci"}:
        return None
    return clean_file_name(unquote(parts.path.rstrip("/").rpartition("/")[2]))


def clean_file_name(name: str) -> str | None:
    """The name with what a file system or a log cannot bear replaced; None when nothing is left of it."""
    cleaned = _UNFIT_FOR_A_FILE_NAME.sub("_", name).encode("utf-8", "replace")[:_FILE_NAME_BYTES]
    text = cleaned.decode("utf-8", "ignore")
    return None if text in {"", ".", ".."} else text
