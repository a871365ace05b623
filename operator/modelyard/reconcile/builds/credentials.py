"""Credentials of sources: the Secrets that `secretRef` names, and the keys of each that a download uses."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from modelyard.contract.source_keys import describe_keys, usable_keys
from modelyard.kube.types import SECRETS, Json
from modelyard.reconcile.context import Context
from modelyard.redaction import redact

Credentials = Mapping[str, Mapping[str, str]]  # name of a Secret → its keys and values


class Unusable(NamedTuple):
    """A Secret that a build needs and cannot use as it is."""

    reason: str  # of the status, one CamelCase word
    message: str


class SourceSecret(NamedTuple):
    """A source with a Secret."""

    subject: str  # in messages, such as "model m:1"
    url: str
    secret: str


def source_secrets(manifest: Json, models: Mapping[str, Json]) -> list[SourceSecret]:
    """Return the sources of an image that have a Secret, in the order of models and assets."""
    return list(_source_secrets(manifest, models))


def _source_secrets(manifest: Json, models: Mapping[str, Json]) -> Iterator[SourceSecret]:
    named = {f"model {id_}": data for id_, data in models.items()}
    named |= {f"asset {asset['id']}": asset for asset in manifest["assets"]}
    for subject, source in named.items():
        if "secretRef" in source:
            yield SourceSecret(subject, source["url"], source["secretRef"]["name"])


async def read_credentials(
    ctx: Context, namespace: str, manifest: Json, models: Mapping[str, Json]
) -> Credentials | Unusable:
    """Return the values of the Secrets of all sources, or the first one that a build cannot use.

    `manifest` and `models` are contents of versions, as `build_request` takes them.
    """
    credentials: dict[str, dict[str, str]] = {}
    for source in source_secrets(manifest, models):
        if source.secret not in credentials:
            secret = await ctx.client.get_or_none(SECRETS, namespace, source.secret)
            if secret is None:
                message = f"waiting for Secret {source.secret}, which does not exist"
                return Unusable("SecretNotFound", message)
            data = secret.get("data") or {}
            credentials[source.secret] = {key: _decode(value) for key, value in data.items()}
        if not usable_keys(source.url, credentials[source.secret]):
            return Unusable("SecretWithoutKeys", _without_keys(source))
    return credentials


def _without_keys(source: SourceSecret) -> str:
    keys = describe_keys(source.url)
    if not keys:
        return f"{source.subject}: {redact(source.url)} takes no credentials: remove secretRef"
    return f"{source.subject}: Secret {source.secret} has none of the keys {keys}: add those of the source"


def _decode(value: str) -> str:
    """Decode a value of a Secret; binary values, which are no UTF-8, stay in base64."""
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
