"""One request to a registry: its address, its login, its errors."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final, TypeVar

import httpx

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
    check,
    unreachable,
)
from modelyard.retry import Retry
from modelyard.streams.urllib3_transport import Urllib3Transport

T = TypeVar("T")

PULL: Final = "pull"
PUSH: Final = "pull,push"
DELETE: Final = "pull,delete"
TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_REDIRECTS: Final = 5
_SAFE: Final = frozenset({"GET", "HEAD"})


class Transport:
    """Safe for threads, as httpx is."""

    def __init__(
        self,
        access: RegistryAccess,
        *,
        credential: Credential | None,
        retry: Retry,
        log: Callable[[str], None] | None,
    ) -> None:
        self.retry = retry
        self.tell = log or (lambda _: None)
        self._access = access
        self._credential = credential
        self._logins: dict[tuple[str, tuple[str, ...]], Login] = {}
        self._http = httpx.Client(
            transport=Urllib3Transport(access.tls), timeout=TIMEOUT, max_redirects=_REDIRECTS
        )

    def close(self) -> None:
        self._http.close()

    def retried(self, call: Callable[[], T]) -> T:
        """The call's result after bounded retries of what is transient."""
        return self.retry.run(call, on_retry=self.tell)

    def url(self, registry: str, path: str) -> httpx.URL:
        return httpx.URL(f"{self._access.base_url(registry)}/v2/{path}")

    def of(self, reference: Reference, path: str) -> httpx.URL:
        """The address of something in a repository."""
        return self.url(reference.registry, f"{reference.repository}/{path}")

    def location(self, response: httpx.Response, reference: Reference) -> httpx.URL:
        """Where the registry says to go on; with TLS kept, of which one behind a proxy may not know."""
        if "location" not in response.headers:
            raise RegistryRefusedError(f"{reference.registry} does not say where to go on for {reference}")
        base = self.url(reference.registry, "")
        url = base.join(response.headers["location"])
        if base.scheme == "https" and url.scheme != "https":
            if url.host != base.host:
                raise RegistryRefusedError(f"{reference.registry} leads to an address without TLS")
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
        timeout: httpx.Timeout = TIMEOUT,
    ) -> Iterator[httpx.Response]:
        """One try; the body of the answer is still unread. Raises RegistryError and its kinds.

        What an iterator of `content` raises comes out as it is.
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
                follow_redirects=method in _SAFE,
                timeout=timeout,
            ) as response:
                check(response, reference, has_credential=login.credential is not None)
                if method == "HEAD" or response.headers.get("content-length") == "0":
                    response.read()  # a connection serves again once its answer was read to the end
                yield response
        except httpx.HTTPError as error:
            raise unreachable(error, reference) from None

    def _login(self, registry: str, scopes: tuple[str, ...]) -> Login:
        key = (registry, scopes)
        return self._logins.setdefault(key, Login(self._access, registry, scopes, self._credential))
