"""What may be said of a URL, and the file name that it stands for."""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import SplitResult, unquote, urlsplit, urlunsplit

_URL: Final = re.compile(r"\b[a-z][a-z0-9+.-]*://[^\s\"'<>`]+|\bdata:[^\s\"'<>`]+", re.IGNORECASE)
_UNFIT_FOR_A_FILE_NAME: Final = re.compile(r"[\x00-\x1f\x7f/\\]")
_FILE_NAME_BYTES: Final = 255  # of ext4, xfs and overlayfs
PACKAGE_SUFFIXES: Final = (".whl", ".zip", ".tar.gz", ".tar.bz2", ".tar.xz", ".tgz")


def redact(url: str) -> str:
    """The URL with nothing in it that could be a credential: no user, query, fragment or inline data."""
    parts = _split(url)
    if parts is None:
        return "(an unreadable url)"
    if parts.scheme == "data":
        return "data:…"
    return urlunsplit((parts.scheme, _host(parts), parts.path, "…" if parts.query else "", ""))


def redact_text(text: str) -> str:
    """Any text, a line of pip's log say, with each URL in it redacted."""
    return _URL.sub(lambda found: redact(found.group()), text)


def without_userinfo(url: str) -> str:
    """The URL without `user:password@`: the same bytes, whoever asks."""
    parts = _split(url)
    return urlunsplit(parts._replace(netloc=_host(parts))) if parts else url


def scheme(url: str) -> str:
    return url.partition(":")[0].lower()


def claim_name(url: str) -> str | None:
    """The claim's name in a `pvc://claim/path`; None for another URL."""
    parts = _split(url)
    return parts.netloc if parts and parts.scheme == "pvc" else None


def is_http(url: str) -> bool:
    return scheme(url) in {"http", "https"}


def requirements_url(requirements: str) -> str | None:
    """The URL of the requirements, or None when they are written out.

    A requirement may itself be the URL of a package (https://peps.python.org/pep-0508/), told by its ending.
    """
    text = requirements.strip()
    if len(text.split()) != 1 or not _URL.fullmatch(text):
        return None
    parts = _split(text)
    return None if parts and parts.path.lower().endswith(PACKAGE_SUFFIXES) else text


def file_name(url: str | None) -> str | None:
    """The last path segment, decoded and fit for a file name; None when the URL names no file."""
    parts = _split(url or "")
    if parts is None or parts.scheme in {"data", "oci"}:
        return None
    return clean_file_name(unquote(parts.path.rstrip("/").rpartition("/")[2]))


def clean_file_name(name: str) -> str | None:
    """The name with what a file system or a log cannot bear replaced; None when nothing is left of it."""
    cleaned = _UNFIT_FOR_A_FILE_NAME.sub("_", name).encode("utf-8", "replace")[:_FILE_NAME_BYTES]
    text = cleaned.decode("utf-8", "ignore")
    return None if text in {"", ".", ".."} else text


def _split(url: str) -> SplitResult | None:
    try:
        return urlsplit(url)
    except ValueError:  # an unclosed bracket, say: fetching it gives the user the reason
        return None


def _host(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
