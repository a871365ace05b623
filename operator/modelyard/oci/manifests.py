"""Manifests, read and written as bytes: their digest is of these."""

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
    bounded,
    digest_of,
)
from modelyard.oci.transport import (
    DELETE,
    PUSH,
    Transport,
)

_BYTES: Final = 4 * 1024 * 1024  # the least that a registry must accept, and the most that is read
_ACCEPT: Final = {"Accept": ", ".join(MANIFESTS)}


def resolve(transport: Transport, reference: Reference) -> str:
    """The digest alone; raises RegistryNotFoundError."""
    url = transport.of(reference, f"manifests/{reference.version}")

    def ask() -> str:
        with transport.request("HEAD", url, reference, headers=_ACCEPT) as response:
            return str(response.headers.get("docker-content-digest", ""))

    return transport.retried(ask) or digest_of(read(transport, reference))  # the header is optional


def read(transport: Transport, reference: Reference) -> bytes:
    """Verified when the reference has a digest."""
    url = transport.of(reference, f"manifests/{reference.version}")

    def ask() -> bytes:
        with transport.request("GET", url, reference, headers=_ACCEPT) as response:
            return bounded(response, _BYTES, f"the manifest of {reference}")

    body = transport.retried(ask)
    if reference.digest not in {None, digest_of(body)}:
        raise RegistryRefusedError(f"the manifest of {reference} has the digest {digest_of(body)}")
    return body


def parse(body: bytes, reference: Reference) -> dict[str, Any]:
    """Raises RegistryRefusedError for what is no JSON object."""
    try:
        manifest = json.loads(body)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise RegistryRefusedError(f"the manifest of {reference} is not a JSON object")
    return manifest


def write(transport: Transport, repository: Reference, body: bytes, media_type: str, tag: str | None) -> bool:
    """Put it, under its digest alone without a tag; whether the registry keeps track of its `subject`."""
    digest = digest_of(body)
    url = transport.of(repository, f"manifests/{tag or digest}")

    def put() -> bool:
        headers = {"Content-Type": media_type}
        with transport.request("PUT", url, repository, PUSH, headers=headers, content=body) as response:
            found = response.headers.get("docker-content-digest", digest)
            if found != digest:
                raise RegistryRefusedError(f"{repository.registry} made {found} of the manifest {digest}")
            return "oci-subject" in response.headers

    return transport.retried(put)


def delete(transport: Transport, repository: Reference, version: str) -> bool:
    """A manifest by its digest, or a tag; what is gone already counts as deleted.

    False where the registry has that switched off.
    """
    url = transport.of(repository, f"manifests/{version}")

    def ask() -> None:
        with transport.request("DELETE", url, repository, DELETE):
            pass

    try:
        transport.retried(ask)
    except RegistryNotFoundError:
        pass
    except RegistryUnsupportedError:
        return False
    return True
