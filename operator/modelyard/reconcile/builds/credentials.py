"""Credentials of sources: the Secrets that `secretRef` names, and cloud identities of ServiceAccounts."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from modelyard.contract.source_keys import describe_keys, usable_keys
from modelyard.kube.types import SECRETS, Json
from modelyard.reconcile.builds.identities import Identities, named_sources, read_identities
from modelyard.reconcile.builds.source_secret import refusal_of
from modelyard.reconcile.builds.waiting import Waiting
from modelyard.reconcile.context import Context
from modelyard.redaction import redact


@dataclass(frozen=True)
class Credentials:
    """The credentials for the sources of an image."""

    secrets: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Name of a Secret → its keys and values."""
    identities: Identities = field(default_factory=dict)


class SourceSecret(NamedTuple):
    """A source with a Secret."""

    subject: str  # in messages, such as "model m:1"
    url: str
    secret: str


def _source_secrets(manifest: Json, models: Mapping[str, Json]) -> Iterator[SourceSecret]:
    """Yield the sources of an image that have a Secret, in the order of models and assets."""
    for subject, source in named_sources(manifest, models):
        if "secretRef" in source:
            yield SourceSecret(subject, source["url"], source["secretRef"]["name"])


async def read_credentials(
    ctx: Context, namespace: str, manifest: Json, models: Mapping[str, Json]
) -> Credentials | Waiting:
    """Return the credentials of all sources, or the first Secret or ServiceAccount that cannot be used.

    `manifest` and `models` are contents of versions, as `build_request` takes them.
    """
    secrets: dict[str, Json] = {}
    for source in _source_secrets(manifest, models):
        if source.secret not in secrets:
            secret = await ctx.client.get_or_none(SECRETS, namespace, source.secret)
            if secret is None:
                message = f"waiting for Secret {source.secret}, which does not exist"
                return Waiting("SecretNotFound", message)
            secrets[source.secret] = secret
        if problem := _problem(ctx, source, secrets[source.secret]):
            return problem
    identities = await read_identities(ctx, namespace, manifest, models)
    if isinstance(identities, Waiting):
        return identities
    return Credentials({name: _values(secret) for name, secret in secrets.items()}, identities)


def _problem(ctx: Context, source: SourceSecret, secret: Json) -> Waiting | None:
    """Return the reason why a download must not or cannot use a Secret, else None."""
    required = ctx.settings.sources.require_secret_label
    if refusal := refusal_of(secret, source.url, requires_label=required):
        return Waiting("SecretNotAllowed", f"{source.subject}: {refusal}", stalled=True)
    if not usable_keys(source.url, _values(secret)):
        return Waiting("SecretWithoutKeys", _without_keys(source))
    return None


def _without_keys(source: SourceSecret) -> str:
    keys = describe_keys(source.url)
    if not keys:
        return f"{source.subject}: {redact(source.url)} takes no credentials: remove secretRef"
    return f"{source.subject}: Secret {source.secret} has none of the keys {keys}: add those of the source"


def _values(secret: Json) -> dict[str, str]:
    return {key: _decode(value) for key, value in (secret.get("data") or {}).items()}


def _decode(value: str) -> str:
    """Decode a value of a Secret; binary values, which are no UTF-8, stay in base64."""
    try:
        return base64.b64decode(value).decode()
    except (binascii.Error, UnicodeDecodeError):
        return value
