"""Signatures of AWS, version 4: https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html."""

from __future__ import annotations

import datetime as dt
import hashlib
import hmac
from collections.abc import Mapping
from typing import Final

ALGORITHM: Final = "AWS4-HMAC-SHA256"


def signature(
    method: str, path: str, signed: Mapping[str, str], payload_hash: str, date: str, scope: str, secret: str
) -> str:
    """Return the signature of a request without a query; `signed` are its signed headers in their order."""
    headers = "".join(f"{name}:{value.strip()}\n" for name, value in signed.items())
    request = f"{method}\n{path}\n\n{headers}\n{';'.join(signed)}\n{payload_hash}"
    text = f"{ALGORITHM}\n{date}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
    key = f"AWS4{secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    return hmac.digest(key, text.encode(), "sha256").hex()


def signed_headers(host: str, form: bytes, access_key: str, secret: str) -> dict[str, str]:
    """Return the headers of a request to the IAM API that posts a form to `/`."""
    date = dt.datetime.now(dt.UTC).strftime("%Y%m%dT%H%M%SZ")
    scope = f"{date[:8]}/us-east-1/iam/aws4_request"
    headers = {"content-type": "application/x-www-form-urlencoded", "host": host, "x-amz-date": date}
    digest = hashlib.sha256(form).hexdigest()
    found = signature("POST", "/", headers, digest, date, scope, secret)
    credential = f"Credential={access_key}/{scope}, SignedHeaders={';'.join(headers)}"
    return headers | {"authorization": f"{ALGORITHM} {credential}, Signature={found}"}
