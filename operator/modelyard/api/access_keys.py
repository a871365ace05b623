"""Random access keys of a Service, which the operator and the REST API write to its Secret."""

from __future__ import annotations

import base64
import secrets
from typing import Final

from modelyard.kube.types import Json
from modelyard.scoring.contract import KEY_NAMES

_KEY_BYTES: Final = 32


def missing_keys(data: Json) -> dict[str, str]:
    """Return new random keys, in base64, for those that the data of a Secret lack."""
    return {
        name: base64.b64encode(secrets.token_urlsafe(_KEY_BYTES).encode()).decode()
        for name in KEY_NAMES
        if not data.get(name)
    }
