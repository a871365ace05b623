"""Files at http and https URLs.

Credentials, as keys of the Secret that `secretRef` names:

    username, password    Basic authentication
    token                 Bearer authentication
    header.<Name>         any other header, for example header.X-Api-Key

A signed URL needs no credentials. Credentials are sent to the origin of the URL only, not to another origin
that a redirect leads to.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import httpx

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.header_value import header_value
from modelyard.builder.sources.request_target import request_target
from modelyard.builder.sources.response_notes import response_notes
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    SourceDeniedError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)
from modelyard.contract.source_keys import HEADER_PREFIX
from modelyard.contract.urls import file_name
from modelyard.oci.registry_config import (
    Credential,
)
from modelyard.oci.responses import retry_after_seconds, status_text
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
_MAX_REDIRECTS: Final = 5


@contextmanager
def http_file(source: Source, context: FetchContext) -> Iterator[HttpFile]:
    """Open an http(s) URL. Raises SourceInvalidError for an invalid URL or invalid credentials."""
    url = _url(source.url or "")
    credentials = _credential_headers(source.credentials, url)
    with httpx.Client(transport=Urllib3Transport(context.access.tls), timeout=_TIMEOUT) as client:
        yield HttpFile(client, url, source.url or "", credentials, source.digest, context)


class HttpFile:
    """A RemoteFile at an http(s) URL."""

    def __init__(
        self,
        client: httpx.Client,
        url: httpx.URL,
        text: str,
        credentials: dict[str, str],
        digest: str | None,
        context: FetchContext,
    ) -> None:
        """Open a URL. `text` is the URL as its author wrote it, since httpx changes some characters."""
        self.name = file_name(str(url))
        self.digest = digest
        self._client = client
        self._url = url
        self._text = text
        self._credentials = credentials
        self._policy = context.policy
        self._log = context.log
        self._has_logged = False
        self._etag: str | None = None

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """Open the file from `offset` on, see RemoteFile."""
        headers = {"Accept-Encoding": "identity"}  # the digest is of the uncompressed bytes
        if offset and self._etag:
            headers |= range_header(offset) | {"If-Range": self._etag}
        try:
            with self._response(headers) as response:
                self._etag = _etag(response, self._etag)
                self._log_notes(response)
                yield range_stream(response, offset)
        except WrongRangeError as error:
            self._etag = None  # the next attempt starts at 0 and detects a change
            raise SourceUnavailableError(f"{redact(str(self._url))}: {error}") from None
        except httpx.TransportError as error:
            reason = redact_text(str(error)) or type(error).__name__
            raise SourceUnavailableError(f"{redact(str(self._url))} cannot be downloaded: {reason}") from None

    def _log_notes(self, response: httpx.Response) -> None:
        """Log, once, why the file may have other bytes or another name than its author expects."""
        if self._has_logged:
            return
        self._has_logged = True
        for note in response_notes(response, self.name):
            self._log(f"{redact(str(self._url))} {note}")

    @contextmanager
    def _response(self, headers: dict[str, str]) -> Iterator[httpx.Response]:
        """Send the request and follow redirects.

        httpx would send all headers except Authorization to another origin.
        """
        current, text = self._url.copy_with(userinfo=b""), self._text
        for _ in range(_MAX_REDIRECTS + 1):
            self._check_redirect(current)
            sent = headers | (self._credentials if same_origin(current, self._url) else {})
            target = request_target(text)
            extensions = {"target": target} if target else {}
            with self._client.stream("GET", current, headers=sent, extensions=extensions) as response:
                if not response.has_redirect_location:
                    _check(response, self._url)
                    yield response
                    return
                current = response.next_request.url if response.next_request else current
                text = response.headers.get("location", "")
        raise SourceRefusedError(
            f"{redact(str(self._url))} redirects more than {_MAX_REDIRECTS} times: give the final url"
        )

    def _check_redirect(self, url: httpx.URL) -> None:
        if url.scheme not in {"http", "https"}:
            raise SourceRefusedError(
                f"{redact(str(self._url))} redirects to a url that is not an http(s) url: give the final url"
            )
        self._policy.check_literal(url.host)
        try:
            self._policy.check_scheme(str(url))
        except SourceDeniedError as error:
            raise SourceDeniedError(f"{redact(str(self._url))} redirects: {error.message}") from None


def _url(text: str) -> httpx.URL:
    try:
        url = httpx.URL(text)
        # 0177。0。0。1 with ideographic dots becomes an invalid address in the second reading only.
        httpx.URL(str(url))
    except httpx.InvalidURL:
        raise SourceInvalidError(f"{redact(text)} is not a valid url: correct the url") from None
    if not url.host:
        raise SourceInvalidError(f"{redact(text)} has no host: write https://host/path")
    return url


def _credential_headers(credentials: Mapping[str, str], url: httpx.URL) -> dict[str, str]:
    headers = {
        key.removeprefix(HEADER_PREFIX): header_value(value)
        for key, value in credentials.items()
        if key.startswith(HEADER_PREFIX)
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


def same_origin(one: httpx.URL, other: httpx.URL) -> bool:
    """Return whether two URLs have the same scheme, host and port."""
    return (one.scheme, one.host, one.port) == (other.scheme, other.host, other.port)


def _etag(response: httpx.Response, previous: str | None) -> str | None:
    """Return the strong ETag of the file, None without one.

    Raises WrongRangeError for a range of another file: some servers ignore If-Range.
    """
    etag = _strong(response.headers.get("etag"))
    if response.status_code == 206 and etag != previous:
        raise WrongRangeError("the file has changed: the server sent a range of a file with another ETag")
    return etag


def _strong(etag: str | None) -> str | None:
    """Return the ETag unless it is weak, which If-Range forbids.

    See https://www.rfc-editor.org/rfc/rfc9110#name-if-range.
    """
    return etag if etag and etag.startswith('"') else None


def _check(response: httpx.Response, url: httpx.URL) -> None:
    status = response.status_code
    if status in {200, 206}:
        return
    message = f"{redact(str(url))} answers {status_text(status)}"
    if status in {404, 410}:
        raise SourceNotFoundError(f"{message}: correct the url, or upload the file")
    if status in {401, 403, 407}:
        raise SourceForbiddenError(
            f"{message}: renew a signed url that has expired, or correct the Secret of secretRef"
        )
    if status in {408, 425, 429} or status >= 500:
        raise SourceUnavailableError(message, retry_after_seconds=retry_after_seconds(response))
    raise SourceRefusedError(message)
