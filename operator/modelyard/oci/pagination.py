"""Lists that registries return in pages: tags, repositories and referrers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import httpx

from modelyard.oci.errors import (
    RegistryNotFoundError,
    RegistryRefusedError,
)
from modelyard.oci.media_types import (
    OCI_INDEX,
    Descriptor,
)
from modelyard.oci.reference import Reference
from modelyard.oci.responses import read_bounded
from modelyard.oci.transport import RegistryTransport

_MAX_PAGE_BYTES: Final = 4 * 1024 * 1024
_CATALOG_SCOPE: Final = "registry:catalog:*"


def tags(transport: RegistryTransport, repository: Reference) -> Iterator[str]:
    """Yield the tags of a repository, none if the repository does not exist."""
    url = transport.repository_url(repository, "tags/list")
    try:
        yield from _names(_pages(transport, url, repository), "tags")
    except RegistryNotFoundError:
        return


def repositories(transport: RegistryTransport, registry: str) -> Iterator[str]:
    """Yield the paths of the repositories that the credentials may list."""
    url = transport.api_url(registry, "_catalog")
    yield from _names(_pages(transport, url, Reference(registry, ""), (_CATALOG_SCOPE,)), "repositories")


def referrers(transport: RegistryTransport, repository: Reference, digest: str) -> list[Descriptor]:
    """Return the referrers of a manifest.

    Raises RegistryNotFoundError if the registry has no referrers API.
    """
    pages = _pages(transport, transport.repository_url(repository, f"referrers/{digest}"), repository)
    return [item for page in pages for item in page.get("manifests") or []]


def _names(pages: Iterator[dict[str, Any]], key: str) -> Iterator[str]:
    for page in pages:
        yield from map(str, page.get(key) or [])


def _pages(
    transport: RegistryTransport, first: httpx.URL, reference: Reference, scopes: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    url: httpx.URL | None = first
    while url is not None:
        page, url = _page(transport, url, reference, scopes)
        yield page


def _page(
    transport: RegistryTransport, url: httpx.URL, reference: Reference, scopes: tuple[str, ...]
) -> tuple[dict[str, Any], httpx.URL | None]:
    """Return a page and the URL of the next page, None for the last page."""

    def get() -> tuple[bytes, str | None]:
        headers = {"Accept": f"application/json, {OCI_INDEX}"}
        with transport.request("GET", url, reference, more_scopes=scopes, headers=headers) as response:
            body = read_bounded(response, _MAX_PAGE_BYTES, f"the list of {reference}")
            return body, response.links.get("next", {}).get("url")

    body, next_url = transport.with_retry(get)
    try:
        page = json.loads(body)
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise RegistryRefusedError(
            f"the list of {reference} that {reference.registry} returned is not a JSON object"
        )
    return page, url.join(next_url) if next_url else None
