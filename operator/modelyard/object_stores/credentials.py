"""The credentials of object stores, as keys of a Secret: one complete set, or none for anonymous access.

If a set is incomplete, the library for object stores looks for the identity of the machine or of the pod. It
asks the metadata service of the cloud, and reads environment variables. So no incomplete set reaches the
library, and `forget_cloud_identity` removes the variables.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from modelyard.redaction import split_url

_GOOGLE_KEY: Final = "GOOGLE_SERVICE_ACCOUNT_KEY"
_GOOGLE_FIELDS: Final = ("client_email", "private_key", "private_key_id")
_REGION_KEY: Final = "AWS_REGION"
_REGION: Final = re.compile(r"[A-Za-z0-9-]{1,63}")
_ENDPOINT: Final = re.compile(r"https?://[!-~]+", re.IGNORECASE)  # printable ASCII, without spaces
_INVALID_IN_ENDPOINTS: Final = frozenset("\\@\"'<>`{}|^")
_IDENTITY_VARIABLES: Final = ("AWS_", "AZURE_", "GOOGLE_", "MSI_", "IDENTITY_")
"""Prefixes of variables with the identity of a pod. The webhooks of EKS, AKS and GKE set such variables."""


class StoreInvalidError(ValueError):
    """The keys of a Secret or the URL have a form that no request can use; the message names them."""


@dataclass(frozen=True)
class _CredentialSet:
    """Keys of a Secret that are one credential together."""

    required: tuple[str, ...]
    optional: tuple[str, ...] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        return self.required + self.optional


@dataclass(frozen=True)
class _StoreKeys:
    """The keys of a Secret for one kind of store. The library takes options with the same names."""

    sets: tuple[_CredentialSet, ...]
    anonymous: str
    """The option that disables the search for credentials."""
    addresses: tuple[str, ...] = ()
    identity: tuple[str, ...] = ()
    """Variables of a pod that the webhook of a cloud sets; the library takes options with the same names."""

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(key for credential in self.sets for key in credential.keys) + self.addresses


# Only secrets and addresses: options with names of files would read files of the pod.
_STORES: Final = {
    "s3": _StoreKeys(
        sets=(_CredentialSet(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), ("AWS_SESSION_TOKEN",)),),
        anonymous="AWS_SKIP_SIGNATURE",
        addresses=(_REGION_KEY, "AWS_ENDPOINT_URL"),
        identity=(
            _REGION_KEY,
            "AWS_DEFAULT_REGION",
            "AWS_ROLE_ARN",
            "AWS_ROLE_SESSION_NAME",
            "AWS_WEB_IDENTITY_TOKEN_FILE",
            "AWS_CONTAINER_CREDENTIALS_FULL_URI",
            "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
            "AWS_ENDPOINT_URL_STS",
        ),
    ),
    "gs": _StoreKeys(
        sets=(_CredentialSet((_GOOGLE_KEY,)),),
        anonymous="GOOGLE_SKIP_SIGNATURE",
        identity=("GOOGLE_APPLICATION_CREDENTIALS",),
    ),
    "abfs": _StoreKeys(
        sets=(
            _CredentialSet(("AZURE_STORAGE_ACCOUNT_KEY",)),
            _CredentialSet(("AZURE_STORAGE_SAS_KEY",)),
            _CredentialSet(
                ("AZURE_STORAGE_CLIENT_ID", "AZURE_STORAGE_CLIENT_SECRET", "AZURE_STORAGE_TENANT_ID")
            ),
        ),
        anonymous="AZURE_SKIP_SIGNATURE",
        addresses=("AZURE_ENDPOINT",),
        identity=("AZURE_CLIENT_ID", "AZURE_TENANT_ID", "AZURE_FEDERATED_TOKEN_FILE", "AZURE_AUTHORITY_HOST"),
    ),
}


def store_keys(kind: str) -> tuple[str, ...]:
    """Return the keys of a Secret for a kind of store (s3, gs, abfs)."""
    return _STORES[kind].keys


def store_config(
    kind: str,
    credentials: Mapping[str, str],
    *,
    origin: str = "Secret of secretRef",
    identity: Mapping[str, str] | None = None,
) -> dict[str, Any]:
    """Return the options of a kind of store (s3, gs, abfs): one complete credential, or anonymous access.

    `origin` names the Secret in messages. With `identity`, of take_cloud_identity(), a Secret without a
    credential leads to the identity of the pod instead of anonymous access.

    Raises StoreInvalidError for a Secret with no key of this kind, a part of a credential, or several
    credentials. Also raises it for an invalid region or endpoint. The message names the keys.
    """
    store = _STORES[kind]
    if credentials and not credentials.keys() & set(store.keys):
        raise StoreInvalidError(f"the {origin} has none of the keys {', '.join(store.keys)}")
    config: dict[str, Any] = {key: credentials[key] for key in store.addresses if credentials.get(key)}
    _check_addresses(config, origin)
    found = [credential for credential in store.sets if credentials.keys() & set(credential.keys)]
    if not found and identity is not None:
        return {key: identity[key] for key in store.identity if key in identity} | config
    if not found:
        return config | {store.anonymous: "true"}
    if len(found) > 1:
        names = ", ".join(key for credential in found for key in credential.keys if key in credentials)
        raise StoreInvalidError(f"the {origin} has several credentials ({names}): keep one")
    missing = [key for key in found[0].required if not credentials.get(key)]
    if missing:
        present = ", ".join(key for key in found[0].keys if credentials.get(key)) or "empty keys"
        raise StoreInvalidError(
            f"the {origin} has {present} without {', '.join(missing)}: add the missing keys"
        )
    if kind == "gs":
        _check_google_key(credentials[_GOOGLE_KEY], origin)
    return config | {key: credentials[key] for key in found[0].keys if credentials.get(key)}


def endpoints(credentials: Mapping[str, str]) -> list[str]:
    """Return the URLs of object stores in a Secret. The JSON of a Google key may contain one."""
    found = [credentials.get(name) for name in ("AWS_ENDPOINT_URL", "AZURE_ENDPOINT", "GOOGLE_BASE_URL")]
    with contextlib.suppress(ValueError, AttributeError, RecursionError):
        found.append(json.loads(credentials.get(_GOOGLE_KEY, "")).get("gcs_base_url"))
    return [str(endpoint) for endpoint in found if endpoint]


def take_cloud_identity(environment: MutableMapping[str, str] = os.environ) -> dict[str, str]:
    """Return the variables with the identity of a pod, and remove them from the process.

    Call it before threads of libraries run, which read the environment.
    """
    identity = {
        name: value for name, value in environment.items() if name.upper().startswith(_IDENTITY_VARIABLES)
    }
    forget_cloud_identity(environment)
    return identity


def forget_cloud_identity(environment: MutableMapping[str, str] = os.environ) -> None:
    """Remove the variables of the process that the library would use beside the credentials of a Secret.

    With the variables of AKS, for example, a user's SAS token is ignored and the identity of the pod is used.
    """
    for name in [name for name in environment if name.upper().startswith(_IDENTITY_VARIABLES)]:
        del environment[name]


def _check_addresses(config: Mapping[str, str], origin: str) -> None:
    """Raise StoreInvalidError for an invalid region or endpoint: the library puts both into URLs."""
    region = config.get(_REGION_KEY)
    if region is not None and not _REGION.fullmatch(region):
        raise StoreInvalidError(
            f"{_REGION_KEY} in the {origin} is not a region: write a name such as eu-central-1"
        )
    for endpoint in endpoints(config):
        _check_endpoint(endpoint, origin)


def _check_endpoint(endpoint: str, origin: str) -> None:
    """Raise StoreInvalidError unless Python and the library read the same host from the URL."""
    parts = split_url(endpoint)
    try:
        valid = bool(
            parts and parts.hostname and "%" not in parts.netloc and (parts.port is None or parts.port)
        )
    except ValueError:  # the port is not a number, or larger than 65535
        valid = False
    if not valid or not _ENDPOINT.fullmatch(endpoint) or _INVALID_IN_ENDPOINTS & set(endpoint):
        raise StoreInvalidError(
            "the endpoint in the {origin} is not a valid url: write http(s)://host[:port]"
        )


def _check_google_key(text: str, origin: str) -> None:
    """Raise StoreInvalidError unless the JSON has all fields of a service account key."""
    try:
        key = json.loads(text)
    except (ValueError, RecursionError):
        key = None
    if not isinstance(key, dict):
        raise StoreInvalidError(f"{_GOOGLE_KEY} in the {origin} is not the JSON of a key")
    missing = [name for name in _GOOGLE_FIELDS if not isinstance(key.get(name), str)]
    if missing:
        raise StoreInvalidError(
            f"{_GOOGLE_KEY} in the {origin} lacks {', '.join(missing)}: use the whole JSON"
        )
    _check_addresses({_GOOGLE_KEY: text}, origin)
