"""Finds downloads without a checksum in shell scripts, make files and Dockerfiles."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Final

_FETCH: Final = re.compile(r"\b(?:curl|wget)\b")
_STORED: Final = re.compile(
    r"(?:--output|-o|-O|--remote-name)\b(?!\s+/dev/null)|\|\s*(?:tar|sh|bash)\b|>\s*\w"
)
_PIP: Final = re.compile(r"\bpip\b[^|;&]*\binstall\b")
_NPM: Final = re.compile(r"\bnpm (?:install|i|add)\b")
_GO_CHECKS: Final = re.compile(r"GOSUMDB=off|GONOSUMDB=[^' ]|GOFLAGS=\S*-insecure|GOINSECURE=[^' ]")
_IMAGE: Final = re.compile(
    r"(?:\b(?:docker pull |FROM |ARG \w*IMAGE=)|IMAGE:-)(?P<image>[^#]*[\w.-]+/?[\w.-]*:[\w.-]+[^#]*)"
)
_CONTINUATION: Final = re.compile(r"\\\n\s*")
_VERIFIED: Final = "download() {\n"
"""Head of the one function that may fetch a file: it compares the SHA-256."""


def findings(text: str) -> Iterator[str]:
    """Yield each line with a download that nothing verifies, with the reason."""
    for line in _CONTINUATION.sub(" ", _without_verified(text)).splitlines():
        if line.lstrip().startswith("#"):
            continue
        if _FETCH.search(line) and _STORED.search(line):
            yield f"{line.strip()}: use download, which compares the SHA-256 of pins.env"
        if _PIP.search(line) and "--require-hashes" not in line and "--no-index" not in line:
            yield f"{line.strip()}: pip needs --require-hashes"
        if _NPM.search(line):
            yield f"{line.strip()}: npm needs a lock file: npm ci"
        if _GO_CHECKS.search(line):
            yield f"{line.strip()}: Go must verify modules"
        if (image := _IMAGE.search(line)) and "@sha256:" not in line and "$" not in image["image"]:
            yield f"{line.strip()}: an image needs its digest"


def scripts(root: Path, paths: list[str]) -> Iterator[Path]:
    """Yield the files that may download something."""
    for path in paths:
        name = path.rpartition("/")[2]
        if name in {"Makefile", "Dockerfile", "run"} or name.endswith((".sh", ".mk")):
            yield root / path


def _without_verified(text: str) -> str:
    head, found, rest = text.partition(_VERIFIED)
    return head + rest.partition("\n}\n")[2] if found and "sha256sum --check" in rest else text
