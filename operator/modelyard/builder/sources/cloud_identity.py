"""Exchange of a ServiceAccount's token for credentials of an object store, at the token service of the cloud.

    AWS     AssumeRoleWithWebIdentity
            https://docs.aws.amazon.com/STS/latest/APIReference/API_AssumeRoleWithWebIdentity.html
    Azure   client credentials with a federated assertion
            https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
    Google  token exchange, then the access token of a service account if one is named
            https://cloud.google.com/iam/docs/reference/sts/rest/v1/TopLevel/token

The library for object stores has the first two only, with the token in a file. So the exchange is here.
Credentials are valid for about an hour. A download that is resumed later needs another build.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import quote

import httpx
import orjson

from modelyard.builder.sources.context import FetchContext
from modelyard.contract.cloud_identity import Cloud, CloudIdentity
from modelyard.contract.errors import SourceForbiddenError, SourceInvalidError, SourceUnavailableError
from modelyard.streams.urllib3_transport import Urllib3Transport
from modelyard.task_group import TaskGroup

_TIMEOUT: Final = httpx.Timeout(30.0, connect=10.0)
_EXCHANGE_SECONDS: Final = 60.0
"""Limit of the whole exchange: a service that sends byte by byte never exceeds _TIMEOUT."""
_MAX_RESPONSE_BYTES: Final = 64 * 1024
_MAX_SESSION_NAME: Final = 64  # characters of RoleSessionName
_INVALID_IN_SESSION_NAMES: Final = re.compile(r"[^\w+=,.@-]", re.ASCII)
_ERROR_CODE: Final = re.compile(r"[A-Za-z0-9_.]{1,64}")
_JWT_ASSERTION: Final = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
_EXCHANGE_GRANT: Final = "urn:ietf:params:oauth:grant-type:token-exchange"
_ACCESS_TYPE: Final = "urn:ietf:params:oauth:token-type:access_token"
_JWT: Final = "urn:ietf:params:oauth:token-type:jwt"
_AZURE_STORAGE: Final = "https://storage.azure.com/.default"
_GOOGLE_CLOUD: Final = "https://www.googleapis.com/auth/cloud-platform"
_GOOGLE_STORAGE: Final = "https://www.googleapis.com/auth/devstorage.read_only"


ADDRESSES: Final = frozenset({"AWS_REGION", "AWS_ENDPOINT_URL", "AZURE_ENDPOINT", "GOOGLE_BASE_URL"})
"""Options of `identity_config` that are no secrets."""


def identity_config(identity: CloudIdentity, context: FetchContext) -> dict[str, str]:
    """Return the options of the library for object stores, with credentials of the identity's account.

    Raises SourceForbiddenError if the token service does not accept the token. Raises SourceUnavailableError
    if the service does not answer within a minute, and SourceInvalidError for a request without a token.
    """
    if not identity.token:
        raise SourceInvalidError(f"the build has no token of ServiceAccount {identity.service_account}")
    with (
        httpx.Client(transport=Urllib3Transport(context.access.tls), timeout=_TIMEOUT) as client,
        TaskGroup() as group,
    ):
        service = _Service(client, identity)
        exchange = group.start(lambda: _EXCHANGES[identity.cloud](identity, service))
        try:
            return exchange.result(_EXCHANGE_SECONDS)
        except TimeoutError:
            raise service.unavailable(f"does not answer within {_EXCHANGE_SECONDS:.0f} s") from None


class _Service:
    """The token service of a cloud. It never follows a redirect, which would take the token elsewhere."""

    def __init__(self, client: httpx.Client, identity: CloudIdentity) -> None:
        self._client = client
        self._identity = identity

    def post(self, url: str, **request: Any) -> bytes:
        """Return the body of the response. Raises SourceForbiddenError and SourceUnavailableError."""
        try:
            with self._client.stream("POST", url, **request) as response:
                body = b""
                for chunk in response.iter_raw(4096):
                    body += chunk
                    if len(body) > _MAX_RESPONSE_BYTES:
                        raise self.unavailable("answers with too many bytes")
                status = response.status_code
        except httpx.HTTPError as error:
            raise self.unavailable(f"does not answer: {type(error).__name__}") from None
        if status == 429 or status >= 500:
            raise self.unavailable(f"answers {status}")
        if status != 200:
            raise SourceForbiddenError(
                f"the token service of {self._identity.cloud} does not accept the {self._identity.subject}"
                f" ({_error_code(body) or status}): check its annotations, and whether the account trusts"
                f" the cluster"
            )
        return body

    def unavailable(self, problem: str) -> SourceUnavailableError:
        """Return the error of a token service that does not work now."""
        return SourceUnavailableError(f"the token service of {self._identity.cloud} {problem}")

    def field(self, body: bytes, name: str) -> str:
        """Return a text of a JSON response. Raises SourceUnavailableError without it."""
        try:
            value = orjson.loads(body)[name]
        except (orjson.JSONDecodeError, KeyError, TypeError):
            value = None
        if not isinstance(value, str) or not value or not value.isprintable() or not value.isascii():
            raise self.unavailable(f"answers without {name}")
        return value


def _aws(identity: CloudIdentity, service: _Service) -> dict[str, str]:
    session = _INVALID_IN_SESSION_NAMES.sub(".", f"modelyard.{identity.service_account}")
    body = service.post(
        identity.token_url,
        data={
            "Action": "AssumeRoleWithWebIdentity",
            "Version": "2011-06-15",
            "RoleArn": identity.account,
            "RoleSessionName": session[:_MAX_SESSION_NAME],
            "WebIdentityToken": identity.token,
        },
    )
    text = body.decode("utf-8", "replace")
    keys = {
        "AWS_ACCESS_KEY_ID": "AccessKeyId",
        "AWS_SECRET_ACCESS_KEY": "SecretAccessKey",
        "AWS_SESSION_TOKEN": "SessionToken",
    }
    config = {"AWS_REGION": identity.region}
    for option, name in keys.items():
        found = re.search(rf"<{name}>\s*([!-;=?-~]+)\s*</{name}>", text)
        if found is None:
            raise service.unavailable(f"answers without {name}")
        config[option] = html.unescape(found[1])
    return config | _endpoint("AWS_ENDPOINT_URL", identity)


def _azure(identity: CloudIdentity, service: _Service) -> dict[str, str]:
    body = service.post(
        f"{identity.token_url.rstrip('/')}/{quote(identity.tenant, safe='')}/oauth2/v2.0/token",
        data={
            "grant_type": "client_credentials",
            "client_id": identity.account,
            "scope": _AZURE_STORAGE,
            "client_assertion_type": _JWT_ASSERTION,
            "client_assertion": identity.token,
        },
    )
    token = service.field(body, "access_token")
    return {"AZURE_STORAGE_TOKEN": token} | _endpoint("AZURE_ENDPOINT", identity)


def _google(identity: CloudIdentity, service: _Service) -> dict[str, str]:
    body = service.post(
        identity.token_url,
        data={
            "grant_type": _EXCHANGE_GRANT,
            "audience": identity.audience,
            "scope": _GOOGLE_CLOUD,
            "requested_token_type": _ACCESS_TYPE,
            "subject_token": identity.token,
            "subject_token_type": _JWT,
        },
    )
    token = service.field(body, "access_token")
    if identity.account:
        account = quote(identity.account, safe="@")
        url = f"{identity.impersonation_url.rstrip('/')}/v1/projects/-/serviceAccounts/{account}"
        body = service.post(
            f"{url}:generateAccessToken",
            json={"scope": [_GOOGLE_STORAGE]},
            headers={"Authorization": f"Bearer {token}"},
        )
        token = service.field(body, "accessToken")
    return {"GOOGLE_BEARER_TOKEN": token} | _endpoint("GOOGLE_BASE_URL", identity)


_EXCHANGES: Final[dict[Cloud, Callable[[CloudIdentity, _Service], dict[str, str]]]] = {
    Cloud.AWS: _aws,
    Cloud.AZURE: _azure,
    Cloud.GOOGLE: _google,
}


def _endpoint(option: str, identity: CloudIdentity) -> dict[str, str]:
    return {option: identity.endpoint} if identity.endpoint else {}


def _error_code(body: bytes) -> str | None:
    """Return the code of an error response of one of the services, never other text of it."""
    try:
        parsed = orjson.loads(body)
        error = parsed.get("error")
        code = error.get("status") if isinstance(error, dict) else error
    except (orjson.JSONDecodeError, AttributeError):
        found = re.search(rb"<Code>([^<]{1,64})</Code>", body)
        code = found[1].decode("ascii", "replace") if found else None
    return code if isinstance(code, str) and _ERROR_CODE.fullmatch(code) else None
