"""Which Secrets a download may use: those of a type for credentials that their owner has marked as sources.

A user who may create a Model chooses both the Secret and the server that gets its values. So a Secret that
was made for another purpose, such as the token of a ServiceAccount, must not be usable by its mere name.
"""

from __future__ import annotations

from typing import Final

from modelyard.api.labels import MANAGED_BY, MANAGER
from modelyard.api.names import SOURCE
from modelyard.api.owners import owner_of
from modelyard.contract.urls import scheme
from modelyard.kube.types import Json

# https://kubernetes.io/docs/concepts/configuration/secret/#secret-types
_OPAQUE: Final = "Opaque"
_BASIC_AUTH: Final = "kubernetes.io/basic-auth"
_DOCKER_CONFIG: Final = "kubernetes.io/dockerconfigjson"


def refusal_of(secret: Json, url: str, *, requires_label: bool) -> str | None:
    """Return a sentence that refuses a Secret for downloads from a URL, None for an allowed Secret."""
    metadata = secret["metadata"]
    name, labels = metadata["name"], metadata.get("labels") or {}
    types = _types(url)
    type_ = secret.get("type") or _OPAQUE
    if labels.get(MANAGED_BY) == MANAGER or owner_of(secret):
        return f"Secret {name} belongs to the operator: put credentials of sources into another Secret"
    if type_ not in types:
        return (
            f"Secret {name} of type {type_} is not for {scheme(url)} sources: create one of type"
            f" {' or '.join(types)}"
        )
    mark = labels.get(SOURCE)
    if mark == "true" or (mark is None and not requires_label):
        return None
    return (
        f'Secret {name} has no label {SOURCE}: "true", so no download may use it. If all authors of Models in'
        f" this namespace may use it, run: kubectl label secret {name} {SOURCE}=true --overwrite"
    )


def _types(url: str) -> tuple[str, ...]:
    """Return the types of Secrets that hold the keys of a URL's scheme."""
    if scheme(url) in {"http", "https"}:
        return _OPAQUE, _BASIC_AUTH
    return (_OPAQUE, _BASIC_AUTH, _DOCKER_CONFIG) if scheme(url) == "oci" else (_OPAQUE,)
