"""Names of images, parsed as Docker parses them: https://github.com/distribution/reference."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Final

import httpx

from modelyard.oci.errors import ReferenceInvalidError

_HUB: Final = "docker.io"
_LABEL: Final = r"[A-Za-z0-9](?:[A-Za-z0-9_-]*[A-Za-z0-9])?"
_REGISTRY: Final = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:.]+\])(?::(?P<port>[0-9]{{1,5}}))?")
_MAX_PORT: Final = 2**16 - 1
_REPOSITORY: Final = re.compile(
    r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*"
)
_TAG: Final = re.compile(r"\w[\w.-]{0,127}", re.ASCII)
_DIGEST: Final = re.compile(r"sha256:[0-9a-f]{64}")


@dataclass(frozen=True)
class Reference:
    """The name of an image, `registry/repository:tag@digest`. A digest takes precedence over a tag."""

    registry: str
    repository: str
    tag: str | None = None
    digest: str | None = None

    @property
    def version(self) -> str:
        """Return the digest or else the tag, `latest` by default."""
        return self.digest or self.tag or "latest"

    def at(self, digest: str) -> Reference:
        """Return the same repository, pinned to a digest."""
        return replace(self, tag=None, digest=digest)

    def tagged(self, tag: str) -> Reference:
        """Return the same repository with another tag."""
        return replace(self, tag=tag, digest=None)

    def with_repository(self, repository: str) -> Reference:
        """Return another repository of the same registry, without tag and digest."""
        return Reference(self.registry, repository)

    def __str__(self) -> str:
        tag = f":{self.tag}" if self.tag else ""
        digest = f"@{self.digest}" if self.digest else ""
        return f"{self.registry}/{self.repository}{tag}{digest}"


def parse_reference(text: str) -> Reference:
    """Return the reference for the name of an image. Raises ReferenceInvalidError if it is not one."""
    name, _, digest = text.partition("@")
    head, _, last = name.rpartition("/")
    last, _, tag = last.partition(":")
    registry, repository = _split_registry(f"{head}/{last}" if head else last)
    valid = (
        _is_registry(registry)
        and _REPOSITORY.fullmatch(repository)
        and (not tag or _TAG.fullmatch(tag))
        and (not digest or is_digest(digest))
    )
    if not valid:
        raise ReferenceInvalidError(
            f"{text!r} is not the name of an image: registry/path:tag or registry/path@sha256:…"
        )
    return Reference(registry, repository, tag or None, digest or None)


def is_digest(value: object) -> bool:
    """Return whether a value is a digest of the form sha256:<64 hex>."""
    return isinstance(value, str) and _DIGEST.fullmatch(value) is not None


def _is_registry(text: str) -> bool:
    """Return whether a text is `host` or `host:port`.

    Docker's grammar has no underscores in hosts. They are accepted here, because networks of containers have
    such names.
    """
    found = _REGISTRY.fullmatch(text)
    if found is None or int(found["port"] or 0) > _MAX_PORT:
        return False
    try:
        httpx.URL(f"https://{text}")
    except httpx.InvalidURL:  # such as 001.2.3.4
        return False
    return True


def _split_registry(path: str) -> tuple[str, str]:
    first, slash, rest = path.partition("/")
    if slash and ("." in first or ":" in first or first == "localhost"):
        return first, rest if first != _HUB or "/" in rest else f"library/{rest}"
    return _HUB, path if slash else f"library/{path}"
