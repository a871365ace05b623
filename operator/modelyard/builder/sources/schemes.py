"""URL schemes and the functions that open their files."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from typing import Final

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.http import http_file
from modelyard.builder.sources.inline import inline_file
from modelyard.builder.sources.object_store import stored_object
from modelyard.builder.sources.oci_artifact import artifact
from modelyard.builder.sources.placeholder import checked_chunks
from modelyard.builder.sources.remote_file import (
    RemoteFile,
    RemoteFolder,
)
from modelyard.builder.sources.volume import volume_file
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceInvalidError
from modelyard.contract.urls import scheme
from modelyard.redaction import redact
from modelyard.streams.range_stream import RangeStream

Opener = Callable[[Source, FetchContext], AbstractContextManager[RemoteFile | RemoteFolder]]
_OPENERS: Final[dict[str, Opener]] = {
    "http": http_file,
    "https": http_file,
    "s3": stored_object,
    "gs": stored_object,
    "abfs": stored_object,
    "abfss": stored_object,
    "oci": artifact,
    "pvc": volume_file,
    "data": inline_file,
}

_CONTROL_CHARACTER: Final = re.compile(r"[\x00-\x1f\x7f]")
_HTML_SUFFIXES: Final = (".html", ".htm", ".xhtml")


@contextmanager
def open_source(source: Source, context: FetchContext) -> Iterator[RemoteFile | RemoteFolder]:
    """Open a source as a file or a folder. The module of each scheme documents the keys of its Secret.

    Raises SourceError and its subclasses.
    """
    # `echo secret | base64` adds a line feed at the end.
    credentials = {key: value.strip("\r\n") for key, value in source.credentials.items()}
    source = source.model_copy(update={"credentials": credentials})
    kind = scheme(source.url or "data:")
    if kind != "data" and (found := _CONTROL_CHARACTER.search(source.url or "")):
        raise SourceInvalidError(
            f"character {found.start() + 1} of the url is {found[0]!r}: write the url in one line, without"
            " control characters"
        )
    opener = _OPENERS.get(kind)
    if opener is None:
        raise SourceInvalidError(f"the url starts with {kind[:20]!r}: use one of {', '.join(_OPENERS)}")
    with ExitStack() as stack:
        with context.policy.enforced_for(source):
            opened = stack.enter_context(opener(source, context))
        yield opened if isinstance(opened, RemoteFolder) else CheckedFile(opened, source, context)


class CheckedFile:
    """A RemoteFile that applies the egress policy to its connections, and refuses placeholders of files.

    The policy is active only while connecting: another thread may read the chunks, and this thread may
    connect to the registry between two chunks.
    """

    def __init__(self, remote: RemoteFile, source: Source, context: FetchContext) -> None:
        self.name = remote.name
        self.digest = remote.digest
        self._remote = remote
        self._source = source
        self._policy = context.policy
        self._is_inline = scheme(source.url or "data:") == "data"
        # An author who names the digest or the suffix wants the page itself.
        self._is_html_allowed = remote.digest is not None or (remote.name or "").lower().endswith(
            _HTML_SUFFIXES
        )

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        """See RemoteFile. Raises SourceDeniedError if the policy forbids the scheme or an address.

        Reading the first chunk raises SourceRefusedError for a placeholder, see checked_chunks.
        """
        with ExitStack() as stack:
            with self._policy.enforced_for(self._source):
                stream = stack.enter_context(self._remote.open(offset))
            yield stream if stream.start or self._is_inline else replace(stream, chunks=self._checked(stream))

    def _checked(self, stream: RangeStream) -> Iterator[bytes]:
        url = redact(self._source.url or "")
        return checked_chunks(stream.chunks, url, is_html_allowed=self._is_html_allowed)
