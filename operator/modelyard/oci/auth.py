"""Logging in: https://distribution.github.io/distribution/spec/auth/token/."""

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

_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')


def scope(repository: str, actions: str) -> str:
    """The right to do `actions`, `pull,push` say, in a repository."""
    return f"repository:{repository}:{actions}"


class Login(httpx.Auth):
    """Answers a 401 with Basic credentials or with a token for `scopes`, and remembers what was taken.

    Credentials are looked up at each 401, so that those that were rotated are found. They go to the
    registry's own origin and to the token service that it names, nowhere else.
    """

    def __init__(
        self, access: RegistryAccess, registry: str, scopes: tuple[str, ...], credential: Credential | None
    ) -> None:
        """`credential` takes the place of those that `access` knows."""
        self._access = access
        self._registry = registry
        self._scopes = scopes
        self._own = credential
        self._origin = httpx.URL(access.base_url(registry))
        self._header: str | None = None

    @property
    def credential(self) -> Credential | None:
        return self._own or self._access.credential(self._registry)

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if not self._is_ours(request.url):
            yield request
            return
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != 401 or not self._is_ours(response.request.url):
            return
        if not isinstance(request.stream, httpx.ByteStream):
            self._header = None  # a stream cannot be sent twice: whoever sends it asks first what was taken
            return
        credential = self.credential
        kind, _, parameters = response.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "bearer" and not (credential and credential.token):
            asked = self._token_request(dict(_PARAMETER.findall(parameters)), credential)
            asked.extensions = {"timeout": request.extensions["timeout"]}
            answer = yield asked
            if answer.status_code != 200:
                return
            self._header = f"Bearer {self._token(answer.read())}"
        elif credential:
            self._header = credential.header
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _is_ours(self, url: httpx.URL) -> bool:
        ours = self._origin
        return (url.scheme, url.host, url.port) == (ours.scheme, ours.host, ours.port)

    def _token_request(self, challenge: dict[str, str], credential: Credential | None) -> httpx.Request:
        realm = challenge.get("realm", "")
        if not realm.startswith(("https://",) if self._origin.scheme == "https" else ("https://", "http://")):
            raise RegistryRefusedError(f"{self._registry} asks to log in at an unfit address")
        url = httpx.URL(realm)
        for name in _merged(self._scopes, challenge.get("scope", "").split()):
            url = url.copy_add_param("scope", name)
        if "service" in challenge:
            url = url.copy_set_param("service", challenge["service"])
        return httpx.Request("GET", url, headers={"Authorization": credential.header} if credential else {})

    def _token(self, body: bytes) -> str:
        try:
            answer = json.loads(body)
            return str(answer.get("token") or answer["access_token"])
        except (ValueError, KeyError, AttributeError):
            raise RegistryRefusedError(f"{self._registry} gave no token on logging in") from None


def _merged(ours: Iterable[str], asked: Iterable[str]) -> list[str]:
    """Scopes with the actions of both: one token for all that will be done, and for what is asked for now."""
    actions: dict[str, dict[str, None]] = {}
    for item in (*ours, *asked):
        resource, _, names = item.rpartition(":")
        actions.setdefault(resource, {}).update(dict.fromkeys(names.split(",")))
    return [f"{resource}:{','.join(names)}" for resource, names in actions.items()]
