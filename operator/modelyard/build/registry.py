"""A small client of the registry API: https://github.com/opencontainers/distribution-spec/blob/main/spec.md.

Synchronous: the operator calls it in a thread, the build Job as it is.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Final, Self

import httpx

from modelyard.build.access import Credential, RegistryAccess
from modelyard.build.errors import (
    BuildFailedError,
    RegistryForbiddenError,
    RegistryNotFoundError,
    RegistryRefusedError,
    RegistryUnavailableError,
)
from modelyard.build.reference import Reference, parse_reference
from modelyard.build.retry import Retry
from modelyard.build.urls import redact_text

_MANIFESTS: Final = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
_MANIFEST_BYTES: Final = 4 * 1024 * 1024  # the least that a registry must accept, and the most that is read
_TIMEOUT: Final = httpx.Timeout(30.0, connect=5.0)
_REDIRECTS: Final = 5
_CHALLENGE: Final = re.compile(r'(\w+)="([^"]*)"')


class Registry:
    """Registries by the names that images give them. Safe for threads, as httpx is; close it after use.

    Its calls raise RegistryUnavailableError after bounded retries, RegistryForbiddenError,
    RegistryNotFoundError and RegistryRefusedError.
    """

    def __init__(
        self, access: RegistryAccess, *, credential: Credential | None = None, retry: Retry | None = None
    ) -> None:
        """`credential` takes the place of those that `access` knows."""
        self._access = access
        self._credential = credential
        self._retry = retry or Retry(attempts=3)
        self._logins: dict[tuple[str, str], _Login] = {}
        self._http = httpx.Client(
            verify=access.tls(), timeout=_TIMEOUT, follow_redirects=True, max_redirects=_REDIRECTS
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    def resolve(self, image: str) -> str | None:
        """The digest that `registry/path:tag` has now, or None when the registry has no such image."""
        reference = parse_reference(image)
        try:
            return self._retry.run(lambda: self._digest(reference))
        except RegistryNotFoundError:
            return None

    def manifest(self, reference: Reference) -> tuple[dict[str, Any], str]:
        """The manifest and its digest; verified when the reference has one."""
        path = f"manifests/{reference.version}"

        def read() -> bytes:
            with self._request("GET", reference, path, {"Accept": _MANIFESTS}) as response:
                return _bounded(response, reference)

        body = self._retry.run(read)
        digest = _sha256(body)
        if reference.digest not in {None, digest}:
            raise RegistryRefusedError(f"the manifest of {reference} has the digest {digest}")
        try:
            manifest = json.loads(body)
        except ValueError:
            manifest = None
        if not isinstance(manifest, dict):
            raise RegistryRefusedError(f"the manifest of {reference} is not a JSON object")
        return manifest, digest

    @contextmanager
    def blob(self, reference: Reference, digest: str, *, offset: int = 0) -> Iterator[httpx.Response]:
        """One try at a blob, its body still unread; from `offset` if the registry answers 206."""
        headers = {"Accept-Encoding": "identity"}
        if offset:
            headers["Range"] = f"bytes={offset}-"
        with self._request("GET", reference, f"blobs/{digest}", headers) as response:
            yield response

    def _digest(self, reference: Reference) -> str:
        headers = {"Accept": _MANIFESTS}
        path = f"manifests/{reference.version}"
        with self._request("HEAD", reference, path, headers) as response:
            digest = response.headers.get("docker-content-digest")
        if digest:
            return str(digest)
        with self._request(
            "GET", reference, path, headers
        ) as response:  # the header is optional in the specification
            return _sha256(_bounded(response, reference))

    @contextmanager
    def _request(
        self, method: str, reference: Reference, path: str, headers: dict[str, str]
    ) -> Iterator[httpx.Response]:
        url = f"{self._access.base_url(reference.registry)}/v2/{reference.repository}/{path}"
        try:
            with self._http.stream(method, url, headers=headers, auth=self._login(reference)) as response:
                _check(response, reference)
                yield response
        except httpx.HTTPError as error:
            raise _unreachable(error, reference) from None

    def _login(self, reference: Reference) -> _Login:
        key = (reference.registry, reference.repository)
        return self._logins.setdefault(key, _Login(self._access, reference, self._credential))


class _Login(httpx.Auth):
    """Answers a 401 as https://distribution.github.io/distribution/spec/auth/token/ asks; remembers it."""

    def __init__(self, access: RegistryAccess, reference: Reference, credential: Credential | None) -> None:
        self._access = access
        self._reference = reference
        self._own = credential
        self._header: str | None = None

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        if self._header:
            request.headers["Authorization"] = self._header
        response = yield request
        if response.status_code != 401:
            return
        credential = self._own or self._access.credential(self._reference.registry)
        kind, _, rest = response.headers.get("www-authenticate", "").partition(" ")
        if kind.lower() == "bearer" and not (credential and credential.token):
            answer = yield self._token_request(dict(_CHALLENGE.findall(rest)), credential)
            if answer.status_code != 200:
                return
            self._header = f"Bearer {_token(answer.read(), self._reference)}"
        elif credential:
            self._header = credential.header
        else:
            return
        request.headers["Authorization"] = self._header
        yield request

    def _token_request(self, challenge: dict[str, str], credential: Credential | None) -> httpx.Request:
        realm = challenge.get("realm", "")
        secure = self._access.base_url(self._reference.registry).startswith("https://")
        if not realm.startswith(("https://",) if secure else ("https://", "http://")):
            raise RegistryRefusedError(f"{self._reference.registry} asks to log in at an unfit address")
        asked = {"scope": f"repository:{self._reference.repository}:pull"}
        query = {name: value for name, value in (asked | challenge).items() if name in {"service", "scope"}}
        headers = {"Authorization": credential.header} if credential else {}
        return httpx.Request("GET", httpx.URL(realm).copy_merge_params(query), headers=headers)


def _token(body: bytes, reference: Reference) -> str:
    try:
        answer = json.loads(body)
        return str(answer.get("token") or answer["access_token"])
    except (ValueError, KeyError, AttributeError):
        raise RegistryRefusedError(f"{reference.registry} gave no token on logging in") from None


def _check(response: httpx.Response, reference: Reference) -> None:
    status = response.status_code
    if response.is_success:
        return
    answer = f"{reference.registry} answers {status} {response.reason_phrase} for {reference}"
    if status == 404:
        raise RegistryNotFoundError(answer)
    if status in {401, 403}:
        raise RegistryForbiddenError(f"{answer}: check the credentials for {reference.registry}")
    if status in {408, 429} or status >= 500:
        raise RegistryUnavailableError(answer, retry_after_seconds=retry_after_seconds(response))
    raise RegistryRefusedError(answer)


def _unreachable(error: httpx.HTTPError, reference: Reference) -> BuildFailedError:
    if isinstance(error, httpx.TransportError):
        reason = redact_text(str(error)) or type(error).__name__
        return RegistryUnavailableError(f"{reference.registry} cannot be reached for {reference}: {reason}")
    return RegistryRefusedError(f"{reference.registry} redirects too often for {reference}")


def retry_after_seconds(response: httpx.Response) -> float | None:
    """Retry-After when it is a number of seconds; its other form, a date, is left to the backoff."""
    value = response.headers.get("retry-after", "")
    return float(value) if value.isascii() and value.isdigit() else None


def _bounded(response: httpx.Response, reference: Reference) -> bytes:
    body = bytearray()
    for chunk in response.iter_bytes():
        body += chunk
        if len(body) > _MANIFEST_BYTES:
            raise RegistryRefusedError(f"the manifest of {reference} is larger than {_MANIFEST_BYTES} bytes")
    return bytes(body)


def _sha256(body: bytes) -> str:
    return f"sha256:{hashlib.sha256(body).hexdigest()}"
