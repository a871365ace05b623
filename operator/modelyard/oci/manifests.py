"""Manifests as bytes, because the digest of a manifest is the hash of its bytes."""

from __future__ import annotations

import json
from typing import Any, Final

from modelyard.oci.errors import (
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryUnsupportedError,
)
from modelyard.oci.media_types import MANIFESTS
from modelyard.oci.reference import Reference
from modelyard.oci.responses import (
    digest_of,
    read_bounded,
)
from modelyard.oci.transport import (
    DELETE,
    PUSH,
    RegistryTransport,
)

_MAX_BYTES: Final = 4 * 1024 * 1024
"""The size that every registry accepts:
https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pushing-manifests.
"""
_ACCEPT: Final = {"Accept": ", ".join(MANIFESTS)}


def resolve(transport: RegistryTransport, reference: Reference) -> str:
    """Return the digest of a manifest. Raises RegistryNotFoundError if there is no such manifest."""
    url = transport.repository_url(reference, f"manifests/{reference.version}")

    def head() -> str:
        with transport.request("HEAD", url, reference, headers=_ACCEPT) as response:
            return str(response.headers.get("docker-content-digest", ""))

    return transport.with_retry(head) or digest_of(get(transport, reference))  # the header is optional


def get(transport: RegistryTransport, reference: Reference) -> bytes:
    """Return a manifest.

    Raises RegistryRefusedError if the reference has a digest and the manifest has another one.
    """
    url = transport.repository_url(reference, f"manifests/{reference.version}")

    def get_once() -> bytes:
        with transport.request("GET", url, reference, headers=_ACCEPT) as response:
            return read_bounded(response, _MAX_BYTES, f"the manifest of {reference}")

    body = transport.with_retry(get_once)
    if reference.digest not in {None, digest_of(body)}:
        raise RegistryRefusedError(f"the manifest of {reference} has the digest {digest_of(body)}")
    return body


def parse(body: bytes, reference: Reference) -> dict[str, Any]:
    """Return a manifest as a dictionary. Raises RegistryRefusedError if it is not a JSON object."""
    try:
        manifest = json.loads(body)
    except (ValueError, RecursionError):
        manifest = None
    if not isinstance(manifest, dict):
        raise RegistryRefusedError(f"the manifest of {reference} is not a JSON object")
    return manifest


def put(
    transport: RegistryTransport, repository: Reference, body: bytes, media_type: str, tag: str | None
) -> bool:
    """Push a manifest with a tag, or with its digest only. Returns whether the registry lists referrers.

    Raises RegistryRefusedError if the registry computes another digest.
    """
    digest = digest_of(body)
    url = transport.repository_url(repository, f"manifests/{tag or digest}")

    def put_once() -> bool:
        headers = {"Content-Type": media_type}
        with transport.request("PUT", url, repository, PUSH, headers=headers, content=body) as response:
            stored_digest = response.headers.get("docker-content-digest", digest)
            if stored_digest != digest:
                raise RegistryRefusedError(
                    f"{repository.registry} stored the manifest {digest} with the digest {stored_digest}"
                )
            return "oci-subject" in response.headers

    return transport.with_retry(put_once)


def delete(transport: RegistryTransport, repository: Reference, version: str) -> bool:
    """Delete a manifest by its digest, or delete a tag. A missing manifest counts as deleted.

    Returns False if deletion is disabled in the registry.
    """
    url = transport.repository_url(repository, f"manifests/{version}")

    def delete_once() -> None:
        with transport.request("DELETE", url, repository, DELETE):
            pass

    try:
        transport.with_retry(delete_once)
    except RegistryNotFoundError:
        pass
    except RegistryUnsupportedError:
        return False
    return True
