"""Which packages a folder holds, for the bill of materials."""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import Distribution
from pathlib import Path
from urllib.parse import quote


@dataclass(frozen=True)
class Package:
    """A distribution as its own metadata says it."""

    name: str
    version: str
    license: str | None = None
    """An SPDX expression, or the name that its author wrote."""

    @property
    def purl(self) -> str:
        """https://github.com/package-url/purl-spec/blob/main/types/pypi-definition.json"""
        name = re.sub(r"[-_.]+", "-", self.name).lower()
        return f"pkg:pypi/{quote(name)}@{quote(self.version, safe='')}"


def packages(folder: Path) -> list[Package]:
    """All packages below the folder, an environment or a runtime, by name."""
    found = (Distribution.at(info).metadata for info in folder.rglob("*.dist-info"))
    listed = [
        Package(
            name=metadata["Name"],
            version=metadata["Version"],
            license=metadata["License-Expression"] or _short(metadata["License"]),
        )
        for metadata in found
    ]
    return sorted(listed, key=lambda package: (package.name.lower(), package.version))


def _short(text: str | None) -> str | None:
    """The name of a licence; many packages have its whole text there."""
    return text.strip() if text and "\n" not in text.strip() else None
