"""Requirements whose source is in a git repository: `git+https://host/path.git@revision#subdirectory=folder`.

The format: https://pip.pypa.io/en/stable/topics/vcs-support/.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import parse_qs, unquote, urlunsplit

from pydantic import BaseModel, ConfigDict

from modelyard.contract.errors import RequirementsInvalidError
from modelyard.redaction import redact_text, split_url

_PREFIX: Final = "git+"
_SCHEMES: Final = frozenset({"http", "https"})
_COMMIT: Final = re.compile(r"[0-9a-f]{40}")


class GitSource(BaseModel):
    """The source of a package in a git repository."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    url: str
    """http(s) URL of the repository. It may contain a login of the user."""
    revision: str | None = None
    """A branch, a tag or a commit; None for the default branch."""
    subdirectory: str | None = None
    name: str = ""
    """Name and extras of the package, empty if the line has none."""
    marker: str = ""

    def requirement(self, archive: str) -> str:
        """Return the line of the requirement with the URL of an archive in place of the repository's."""
        line = f"{self.name} @ {archive}" if self.name else archive
        return f"{line} ; {self.marker}" if self.marker else line


def is_git(url: str) -> bool:
    """Return True for the URL of a git repository in a requirement."""
    return url.lower().startswith(_PREFIX)


def is_commit(revision: str | None) -> bool:
    """Return True for a complete hash of a commit, which always names the same source."""
    return revision is not None and _COMMIT.fullmatch(revision) is not None


def parse_git(requirement: str, url: str) -> GitSource:
    """Parse a requirement with the URL of a repository. Raises RequirementsInvalidError."""
    # Imported here, since the import takes a tenth of a builder's start, and few builds need it.
    from packaging.requirements import InvalidRequirement, Requirement  # noqa: PLC0415

    parts = split_url(url[len(_PREFIX) :])
    if parts is None or parts.scheme.lower() not in _SCHEMES or not parts.hostname:
        raise RequirementsInvalidError(
            f"{redact_text(requirement)!r} has a URL of git that builds cannot reach: give a git+https:// URL"
        )
    path, _, revision = parts.path.rpartition("@")
    if not path:
        path, revision = parts.path, ""
    options = parse_qs(parts.fragment)
    name, marker = options.get("egg", [""])[0], ""
    try:
        parsed = Requirement(requirement)
    except InvalidRequirement:
        pass  # a URL without a name
    else:
        extras = f"[{','.join(sorted(parsed.extras))}]" if parsed.extras else ""
        name, marker = f"{parsed.name}{extras}", str(parsed.marker or "")
    subdirectory = options.get("subdirectory", [""])[0].strip("/")
    return GitSource(
        url=urlunsplit(parts._replace(path=path, fragment="")),
        revision=unquote(revision) or None,
        subdirectory=subdirectory or None,
        name=name,
        marker=marker,
    )
