"""The secrets in a build request, which no log line and no error may contain.

A server may repeat the request in its response. So each form in which a secret is sent is a secret, too:
Basic credentials in base64, and the query of a signed URL.
"""

from __future__ import annotations

import base64
import contextlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final
from urllib.parse import quote, unquote

from modelyard.contract.build_request import BuildRequest
from modelyard.oci.registry_config import Credential
from modelyard.redaction import URL, split_url

_PUBLIC_KEYS: Final = frozenset({"username", "AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_ENDPOINT"})
"""Keys of a source's Secret whose values users need in error messages."""

# Fields of a Google service account key, https://cloud.google.com/iam/docs/keys-create-delete,
# and of a Docker config.json.
_SECRET_JSON_KEYS: Final = frozenset(
    {"private_key", "private_key_id", "client_secret", "refresh_token"}
    | {"auth", "password", "identitytoken", "registrytoken"}
)
_MIN_PARAMETER_CHARACTERS: Final = 8
"""A shorter value of a query, such as `v=2024`, is no signature, and may be a part of other words."""


def secrets_of(request: BuildRequest) -> set[str]:
    """Return each line of each secret value in the credentials and URLs of a request, in each form.

    Tokens of ServiceAccounts are among them.
    """
    sources = [*(model.source for model in request.models), *(asset.source for asset in request.assets)]
    texts = [source.url for source in sources] + [request.pip_requirements, request.conda_env_file]
    found = [secret for source in sources for secret in _secrets_in(source.credentials)]
    found += [secret for text in texts for url in URL.findall(text or "") for secret in _secrets_in_url(url)]
    found += [source.identity.token for source in sources if source.identity]
    return {line for text in found for line in text.splitlines()}


def registry_secrets(config: Path | None) -> set[str]:
    """Return the secrets in the dockerconfigjson of the platform, none without a readable file."""
    try:
        return {*_secrets_in_json(config.read_text())} - {""} if config else set()
    except (OSError, UnicodeDecodeError):
        return set()  # the first access to a registry reports the file


def _secrets_in(credentials: Mapping[str, str]) -> Iterator[str]:
    for key, value in credentials.items():
        if key in _PUBLIC_KEYS:
            continue
        yield value
        yield from _secrets_in_json(value)
        if key == "AZURE_STORAGE_SAS_KEY":
            yield from _secrets_in_query(value.lstrip("?"))
    if "username" in credentials:
        yield _basic(credentials["username"], credentials.get("password", ""))


def _secrets_in_json(value: str) -> list[str]:
    """Return the secret strings inside a JSON value: errors of clouds and registries may quote one alone."""
    found: list[str] = []

    def collect(parsed: dict[str, object]) -> None:
        found.extend(
            item for key, item in parsed.items() if key in _SECRET_JSON_KEYS and isinstance(item, str)
        )
        user, password = parsed.get("username"), parsed.get("password")
        if isinstance(user, str) and isinstance(password, str):
            found.append(_basic(user, password))
        with contextlib.suppress(ValueError):  # the password in `auth`, which is user:password in base64
            found.append(base64.b64decode(str(parsed.get("auth") or "")).decode().partition(":")[2])

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(value, object_hook=collect)
    return found


def _secrets_in_url(url: str) -> Iterator[str]:
    parts = split_url(url)
    if parts is None or parts.scheme == "data":
        return
    user, _, password = parts.netloc.rpartition("@")[0].partition(":")
    if user or password:
        yield password or user  # some servers take a token as the user
        yield unquote(password or user)
        yield _basic(unquote(user), unquote(password))
    yield from _secrets_in_query(parts.query)


def _secrets_in_query(query: str) -> Iterator[str]:
    """Yield the query, and each of its values as it stands, decoded and encoded."""
    yield query
    for parameter in query.split("&"):
        value = unquote(parameter.partition("=")[2])
        if len(value) >= _MIN_PARAMETER_CHARACTERS:
            yield from (parameter.partition("=")[2], value, quote(value, safe=""))


def _basic(username: str, password: str) -> str:
    """Return the credentials of the header `Authorization: Basic`."""
    return Credential(username, password).header.removeprefix("Basic ")
