"""Lists that come in pages."""

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
from modelyard.oci.responses import bounded
from modelyard.oci.transport import Transport

_PAGE_BYTES: Final = 4 * 1024 * 1024
_CATALOG: Final = "registry:catalog:*"


def tags(transport: Transport, repository: Reference) -> Iterator[str]:
    """Of a repository; none when the registry has no such repository."""
    url = transport.of(repository, "tags/list")
    try:
        yield from _names(_pages(transport, url, repository), "tags")
    except RegistryNotFoundError:
        return


def repositories(transport: Transport, registry: str) -> Iterator[str]:
    """All that the registry lets these credentials see."""
    url = transport.url(registry, "_catalog")
    yield from _names(_pages(transport, url, Reference(registry, ""), (_CATALOG,)), "repositories")


def referrers(transport: Transport, repository: Reference, digest: str) -> list[Descriptor]:
    """From the registry's own list; raises RegistryNotFoundError where there is no such list."""
    pages = _pages(transport, transport.of(repository, f"referrers/{digest}"), repository)
    return [item for page in pages for item in page.get("manifests") or []]


def _names(pages: Iterator[dict[str, Any]], key: str) -> Iterator[str]:
    for page in pages:
        yield from map(str, page.get(key) or [])


def _pages(
    transport: Transport, first: httpx.URL, reference: Reference, scopes: tuple[str, ...] = ()
) -> Iterator[dict[str, Any]]:
    url: httpx.URL | None = first
    while url is not None:
        page, url = _page(transport, url, reference, scopes)
        yield page


def _page(
    transport: Transport, url: httpx.URL, reference: Reference, scopes: tuple[str, ...]
) -> tuple[dict[str, Any], httpx.URL | None]:
    def ask() -> tuple[bytes, str | None]:
        headers = {"Accept": f"application/json, {OCI_INDEX}"}
        with transport.request("GET", url, reference, more_scopes=scopes, headers=headers) as response:
            body = bounded(response, _PAGE_BYTES, f"the list of {reference}")
            return body, response.links.get("next", {}).get("url")

    body, more = transport.retried(ask)
    try:
        page = json.loads(body)
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise RegistryRefusedError(
            f"{reference.registry} answers a list of {reference} that is no JSON object"
        )
    return page, url.join(more) if more else None
