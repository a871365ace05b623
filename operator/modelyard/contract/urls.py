"""URLs of models, assets and requirements: scheme, claim and file name."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import unquote, urlunsplit

from modelyard.redaction import URL, host_of, split_url

_INVALID_IN_FILE_NAMES: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_FILE_NAME_BYTES: Final = 255  # of ext4, xfs and overlayfs
VERSION_CONTROL_URL: Final = re.compile(r"(?:git|hg|svn|bzr)\+", re.IGNORECASE)
"""The start of the URL of a repository with the source of a package:
https://pip.pypa.io/en/stable/topics/vcs-support/."""
PACKAGE_SUFFIXES: Final = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")


def without_userinfo(url: str) -> str:
    """Return the URL without `user:password@`, which does not change the bytes at the URL."""
    parts = split_url(url)
    return urlunsplit(parts._replace(netloc=host_of(parts))) if parts else url


def scheme(url: str) -> str:
    """Return the scheme in lower case, without the colon."""
    return url.partition(":")[0].lower()


def claim_name(url: str) -> str | None:
    """Return the PersistentVolumeClaim of a `pvc://claim/path` URL, None for another scheme."""
    parts = split_url(url)
    return parts.netloc if parts and parts.scheme == "pvc" else None


def is_http(url: str) -> bool:
    """Return True for an http or https URL."""
    return scheme(url) in {"http", "https"}


def requirements_url(requirements: str) -> str | None:
    """Return the URL of a requirements or environment file, None if the text is the file itself.

    The URL of a package is None, too: it is a requirement (https://peps.python.org/pep-0508/). Its suffix, or
    the name of a version control system, tells it from the URL of a file of requirements.
    """
    text = requirements.removeprefix("\ufeff").strip()
    if len(text.split()) != 1 or not URL.fullmatch(text) or VERSION_CONTROL_URL.match(text):
        return None
    parts = split_url(text)
    return None if parts and parts.path.lower().endswith(PACKAGE_SUFFIXES) else text


def file_name(url: str | None) -> str | None:
    """Return the last segment of the URL's path as a valid file name, None if the URL names no file."""
    parts = split_url(url or "")
    if parts is None or parts.scheme in {"data", "oci"}:
        return None
    return clean_file_name(unquote(parts.path.rstrip("/").rpartition("/")[2]))


def clean_file_name(name: str) -> str | None:
    """Return the name with control characters and slashes replaced by `_`, None if it is empty, `.` or `..`.

    The result has at most 255 bytes.
    """
    cleaned = _INVALID_IN_FILE_NAMES.sub("_", name).encode("utf-8", "replace")[:_FILE_NAME_BYTES]
    text = cleaned.decode("utf-8", "ignore")
    return None if text in {"", ".", ".."} else text
