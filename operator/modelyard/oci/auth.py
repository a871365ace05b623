"""Authentication with registries: https://distribution.github.io/distribution/spec/auth/token/."""

from __future__ import annotations

import json
import re
from collections.abc import Generator, Iterable
from typing import Final

import httpx

from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
)

_PARAMETER: Final = re.compile(r'\b(\w+)="([^"]*)"')


def scope(repository: str, actions: str) -> str:
    """Return the token scope for `actions` in a repository, `pull,push` for example."""
    return f"repository:{repository}:{actions}"


class Login(httpx.Auth):
    """Responds to a 401 with Basic credentials or with a token for `scopes`, and reuses them afterwards.

    Each 401 reads the credentials again, so that rotated credentials take effect. They are sent to the origin
    of the registry and to the token service in its challenge only.
    """

    def __init__(
        self, access: RegistryAccess, registry: str, scopes: tuple[str, ...], credential: Credential | None
    ) -> None:
        """`credential` replaces the credentials of `access`."""
        self._access = access
        self._registry = registry
        self._scopes = scopes
        self._credential = credential
        self._origin = httpx.URL(access.base_url(registry))
        self._authorization: str | None = None

    @property
    def credential(self) -> Credential | None:
        """Return the credential for the registry, None for anonymous access."""
        return self._credential or self._access.credential(self._registry)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        """Authenticate one request: see https://www.python-httpx.org/advanced/authentication/."""
        if not self._has_registry_origin(request.url):
            yield request
            return
        if self._authorization:
            request.headers["Authorization"] = self._authorization
        response = yield request
        if response.status_code != 401 or not self._has_registry_origin(response.request.url):
            return
        if not isinstance(request.stream, httpx.ByteStream):
            # A stream cannot be sent twice. Its sender resumes with another request, which logs in.
            self._authorization = None
            return
        credential = self.credential
        kind, _, parameters = response.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "bearer" and not (credential and credential.token):
            token_request = self._token_request(dict(_PARAMETER.findall(parameters)), credential)
            token_request.extensions = {"timeout": request.extensions["timeout"]}
            token_response = yield token_request
            if token_response.status_code != 200:
                return
            self._authorization = f"Bearer {self._token(token_response.read())}"
        elif credential:
            self._authorization = credential.header
        else:
            return
        request.headers["Authorization"] = self._authorization
        yield request

    def _has_registry_origin(self, url: httpx.URL) -> bool:
        origin = self._origin
        return (url.scheme, url.host, url.port) == (origin.scheme, origin.host, origin.port)

    def _token_request(self, challenge: dict[str, str], credential: Credential | None) -> httpx.Request:
        realm = challenge.get("realm", "")
        schemes = ("https://",) if self._origin.scheme == "https" else ("https://", "http://")
        if not realm.startswith(schemes):
            raise RegistryRefusedError(
                f"{self._registry} names a token service with an unsafe address:"
                f" the realm must start with {' or '.join(schemes)}"
            )
        url = httpx.URL(realm)
        for name in _merged_scopes(self._scopes, challenge.get("scope", "").split()):
            url = url.copy_add_param("scope", name)
        if "service" in challenge:
            url = url.copy_set_param("service", challenge["service"])
        return httpx.Request("GET", url, headers={"Authorization": credential.header} if credential else {})

    def _token(self, body: bytes) -> str:
        try:
            document = json.loads(body)
            return str(document.get("token") or document["access_token"])
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            raise RegistryRefusedError(
                f"the response of the token service of {self._registry} contains no token"
            ) from None


def _merged_scopes(own: Iterable[str], challenged: Iterable[str]) -> list[str]:
    """Return the scopes with the actions of both, so that one token serves this and all later requests."""
    actions: dict[str, dict[str, None]] = {}
    for item in (*own, *challenged):
        resource, _, names = item.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(names.split(",")))
    return [f"{resource}:{','.join(names)}" for resource, names in actions.items()]
