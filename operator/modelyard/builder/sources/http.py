"""http and https.

Credentials, as keys of the Secret that `secretRef` names:

    username, password    Basic authentication
    token                 Bearer authentication
    header.<Name>         any other header, for example header.X-Api-Key

A signed URL needs none of them. They go to the URL's own origin only, never along a redirect to another one.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.header_value import header_value
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.contract.urls import file_name
from modelyard.oci.registry_config import (
    Credential,
)
from modelyard.oci.responses import retry_after_seconds
from modelyard.redaction import (
    redact,
    redact_text,
)
from modelyard.streams.range_stream import (
    RangeStream,
    WrongRangeError,
    range_header,
    range_stream,
)
from modelyard.streams.urllib3_transport import Urllib3Transport

_TIMEOUT: Final = httpx.Timeout(60.0, connect=10.0)
_REDIRECTS: Final = 5
_HEADER: Final = "header."


@contextmanager
def http_file(source: Source, context: FetchContext) -> Iterator[HttpFile]:
    """Raises SourceInvalidError for a URL or credentials that cannot be used."""
    url = _url(source.url or "")
    credentials = _credential_headers(source.credentials, url)
    with httpx.Client(transport=Urllib3Transport(context.access.tls), timeout=_TIMEOUT) as client:
        yield HttpFile(client, url, credentials, source.digest)


class HttpFile:
    """A RemoteFile."""

    def __init__(
        self, client: httpx.Client, url: httpx.URL, credentials: dict[str, str], digest: str | None
    ) -> None:
        self.name = file_name(str(url))
        self.digest = digest
        self._client = client
        self._url = url
        self._credentials = credentials
        self._etag: str | None = None

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        headers = {"Accept-Encoding": "identity"}  # the file's own bytes: they are what the digest is of
        if offset and self._etag:
            headers |= range_header(offset) | {"If-Range": self._etag}
        try:
            with _open(self._client, self._url, headers, self._credentials) as response:
                self._etag = _etag(response, self._etag)
                yield range_stream(response, offset)
        except WrongRangeError as error:
            self._etag = None  # from the start again, which shows whether it has changed
            raise SourceUnavailableError(f"{redact(str(self._url))}: {error}") from None
        except httpx.TransportError as error:
            reason = redact_text(str(error)) or type(error).__name__
            raise SourceUnavailableError(f"{redact(str(self._url))} cannot be fetched: {reason}") from None


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL:
        raise SourceInvalidError(f"{redact(text)} is not a valid url") from None
    if not url.host:
        raise SourceInvalidError(f"{redact(text)} has no host")
    return url


def _credential_headers(credentials: Mapping[str, str], url: httpx.URL) -> dict[str, str]:
    headers = {
        key.removeprefix(_HEADER): header_value(value)
        for key, value in credentials.items()
        if key.startswith(_HEADER)
    }
    if "token" in credentials:
        headers["Authorization"] = Credential(token=header_value(credentials["token"])).header
    elif "username" in credentials:
        password = credentials.get("password", "")
        headers["Authorization"] = Credential(credentials["username"], password).header
    elif not credentials and url.userinfo:
        headers["Authorization"] = Credential(url.username, url.password).header
    if credentials and not headers:
        raise SourceInvalidError(
            "the Secret of secretRef has none of the keys username, password, token, header.<Name>"
        )
    return headers


@contextmanager
def _open(
    client: httpx.Client, url: httpx.URL, headers: dict[str, str], credentials: dict[str, str]
) -> Iterator[httpx.Response]:
    """Follows redirects itself: httpx takes all headers but Authorization along to another origin."""
    here = url.copy_with(userinfo=b"")
    for _ in range(_REDIRECTS + 1):
        if here.scheme not in {"http", "https"}:
            raise SourceRefusedError(f"{redact(str(url))} redirects to what is not an http(s) url")
        own = credentials if _same_origin(here, url) else {}
        with client.stream("GET", here, headers=headers | own) as response:
            if not response.has_redirect_location:
                _check(response, url)
                yield response
                return
            here = response.next_request.url if response.next_request else here
    raise SourceRefusedError(f"{redact(str(url))} redirects more than {_REDIRECTS} times")


def _same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _etag(response: httpx.Response, known: str | None) -> str | None:
    """The file's strong ETag; raises WrongRangeError for a range of another file, as some send it."""
    etag = _strong(response.headers.get("etag"))
    if response.status_code == 206 and etag != known:
        raise WrongRangeError("the server sent a range of another file than that which it began with")
    return etag


def _strong(etag: str | None) -> str | None:
    """If-Range takes no weak validators: https://www.rfc-editor.org/rfc/rfc9110#name-if-range."""
    return etag if etag and etag.startswith('"') else None


def _check(response: httpx.Response, url: httpx.URL) -> None:
    status = response.status_code
    if status in {200, 206}:
        return
    answer = f"{redact(str(url))} answers {status} {response.reason_phrase}"
    if status in {404, 410}:
        raise SourceNotFoundError(f"{answer}: nothing is there")
    if status in {401, 403, 407}:
        raise SourceForbiddenError(
            f"{answer}: a signed url may have expired, or secretRef be missing or wrong"
        )
    if status in {408, 425, 429} or status >= 500:
        raise SourceUnavailableError(answer, retry_after_seconds=retry_after_seconds(response))
    raise SourceRefusedError(answer)
