"""Requests to registries: URLs, authentication, errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx

from modelyard.coded_error import CodedError
from modelyard.oci.auth import (
    Login,
    scope,
)
from modelyard.oci.errors import RegistryRefusedError
from modelyard.oci.reference import Reference
from modelyard.oci.registry_config import (
    Credential,
    RegistryAccess,
)
from modelyard.oci.responses import (
    error_without_response,
    raise_for_status,
)
from modelyard.retry import Retry, is_transient
from modelyard.streams.urllib3_transport import Urllib3Transport

T = TypeVar("T")

PULL: Final = "pull"
PUSH: Final = "pull,push"
DELETE: Final = "pull,delete"
DEFAULT_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_MAX_REDIRECTS: Final = 5
_REDIRECTED_METHODS: Final = frozenset({"GET", "HEAD"})


class RegistryTransport:
    """Thread-safe HTTP connections to all registries, with one login for each registry and its scopes."""

    def __init__(
        self,
        access: RegistryAccess,
        *,
        credential: Credential | None,
        retry: Retry,
        log: Callable[[str], None] | None,
        timeout: httpx.Timeout = DEFAULT_TIMEOUT,
        check: Callable[[httpx.URL], None] | None = None,
    ) -> None:
        """`credential` replaces the credentials of `access`. `log` receives a line for each retry.

        `timeout` is that of requests without a timeout of their own. `check` is called with the URL of each
        request before it is sent.
        """
        self._timeout = timeout
        self.retry = retry
        self.log = log or (lambda _: None)
        self._access = access
        self._credential = credential
        self._logins: dict[tuple[str, tuple[str, ...]], Login] = {}
        self._http = httpx.Client(
            transport=Urllib3Transport(access.tls),
            timeout=timeout,
            max_redirects=_MAX_REDIRECTS,
            event_hooks={"request": [lambda request: check(request.url)]} if check else None,
        )

    def close(self) -> None:
        """Close all connections."""
        self._http.close()

    def with_retry(
        self, call: Callable[[], T], *, retry_if: Callable[[CodedError], bool] = is_transient
    ) -> T:
        """Return the result of `call`, with bounded retries of the errors for which `retry_if` is true."""
        return self.retry.run(call, on_retry=self.log, retry_if=retry_if)

    def api_url(self, registry: str, path: str) -> httpx.URL:
        """Return the URL of a path below `/v2/` of a registry."""
        return httpx.URL(f"{self._access.base_url(registry)}/v2/{path}")

    def repository_url(self, reference: Reference, path: str) -> httpx.URL:
        """Return the URL of a path in a repository."""
        return self.api_url(reference.registry, f"{reference.repository}/{path}")

    def location(self, response: httpx.Response, reference: Reference) -> httpx.URL:
        """Return the absolute URL in the Location header.

        A registry behind a TLS proxy may send http:// URLs of its own host: they become https:// again.
        Raises RegistryRefusedError without the header, and if it leads to another host without TLS.
        """
        if "location" not in response.headers:
            raise RegistryRefusedError(f"a response of {reference.registry} for {reference} lacks a Location")
        base = self.api_url(reference.registry, "")
        url = base.join(response.headers["location"])
        if base.scheme == "https" and url.scheme != "https":
            if url.host != base.host:
                raise RegistryRefusedError(f"{reference.registry} redirects to {url.host} without TLS")
            url = url.copy_with(scheme=base.scheme, port=base.port)
        return url

    @contextmanager
    def request(
        self,
        method: str,
        url: httpx.URL,
        reference: Reference,
        actions: str = PULL,
        *,
        more_scopes: tuple[str, ...] = (),
        headers: dict[str, str] | None = None,
        content: bytes | Iterator[bytes] | None = None,
        timeout: httpx.Timeout | None = None,
    ) -> Iterator[httpx.Response]:
        """Send a request in one attempt, and return the response with its body unread.

        Raises RegistryError, and the errors of an iterator passed as `content`.
        """
        scopes = (scope(reference.repository, actions), *more_scopes) if reference.repository else more_scopes
        login = self._login(reference.registry, scopes)
        try:
            with self._http.stream(
                method,
                url,
                headers=headers,
                content=content,
                auth=login,
                follow_redirects=method in _REDIRECTED_METHODS,
                timeout=timeout or self._timeout,
            ) as response:
                raise_for_status(response, reference, has_credential=login.credential is not None)
                if method == "HEAD" or response.headers.get("content-length") == "0":
                    response.read()  # the pool reuses a connection once its response is read to the end
                yield response
        except httpx.HTTPError as error:
            raise error_without_response(error, reference) from None

    def _login(self, registry: str, scopes: tuple[str, ...]) -> Login:
        key = (registry, scopes)
        return self._logins.setdefault(key, Login(self._access, registry, scopes, self._credential))
