"""Signatures for Azure Blob Storage."""

from __future__ import annotations

import base64
import datetime as dt
import hashlib
import hmac
from urllib.parse import urlencode


def account_sas(permissions: str, key: str) -> str:
    """Return an account SAS: https://learn.microsoft.com/rest/api/storageservices/create-account-sas."""
    end = (dt.datetime.now(dt.UTC) + dt.timedelta(hours=1)).strftime("%Y-%m-%dT%H:%M:%SZ")
    version = "2021-06-08"
    text = "\n".join(("account", permissions, "b", "co", "", end, "", "https,http", version, "", ""))
    signature = hmac.digest(base64.b64decode(key), text.encode(), hashlib.sha256)
    query = {"sp": permissions, "ss": "b", "srt": "co", "se": end, "spr": "https,http", "sv": version}
    return urlencode(query | {"sig": base64.b64encode(signature).decode()})
