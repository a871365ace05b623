"""The secrets in a build request, which no log line and no error may contain."""

from __future__ import annotations

import contextlib
import json
from typing import Final

from modelyard.contract.build_request import BuildRequest

_PUBLIC_KEYS: Final = frozenset({"username", "AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_ENDPOINT"})
"""Keys of a source's Secret whose values users need in error messages."""

# Fields of a Google service account key, https://cloud.google.com/iam/docs/keys-create-delete,
# and of a Docker config.json.
_SECRET_JSON_KEYS: Final = frozenset(
    {"private_key", "private_key_id", "client_secret", "refresh_token"}
    | {"auth", "password", "identitytoken", "registrytoken"}
)


def secrets_of(request: BuildRequest) -> set[str]:
    """Return each line of each secret value in the credentials of a request."""
    sources = [*(model.source for model in request.models), *(asset.source for asset in request.assets)]
    return {
        line
        for source in sources
        for key, value in source.credentials.items()
        if key not in _PUBLIC_KEYS
        for text in (value, *_secrets_in_json(value))
        for line in text.splitlines()
    }


def _secrets_in_json(value: str) -> list[str]:
    """Return the secret strings inside a JSON value: errors of clouds and registries may quote one alone."""
    found: list[str] = []

    def collect(parsed: dict[str, object]) -> None:
        found.extend(
            item for key, item in parsed.items() if key in _SECRET_JSON_KEYS and isinstance(item, str)
        )

    with contextlib.suppress(ValueError, RecursionError):
        json.loads(value, object_hook=collect)
    return found
