"""Which scheme is served by whom."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from typing import Final

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.http import http_file
from modelyard.builder.sources.inline import inline_file
from modelyard.builder.sources.object_store import stored_file
from modelyard.builder.sources.oci_artifact import artifact
from modelyard.builder.sources.remote_file import (
    RemoteFile,
    RemoteFolder,
)
from modelyard.builder.sources.volume import volume_file
from modelyard.contract.build_request import Source
from modelyard.contract.errors import SourceInvalidError
from modelyard.contract.urls import scheme
from modelyard.streams.range_stream import RangeStream

Opener = Callable[[Source, FetchContext], AbstractContextManager[RemoteFile | RemoteFolder]]
_OPENERS: Final[dict[str, Opener]] = {
    "http": http_file,
    "https": http_file,
    "s3": stored_file,
    "gs": stored_file,
    "abfs": stored_file,
    "abfss": stored_file,
    "oci": artifact,
    "pvc": volume_file,
    "data": inline_file,
}


@contextmanager
def open_source(source: Source, context: FetchContext) -> Iterator[RemoteFile | RemoteFolder]:
    """What the source is; each scheme's module says what credentials it takes.

    Raises SourceError and its kinds.
    """
    # a line feed at the end is what `echo secret | base64` adds
    credentials = {key: value.strip("\r\n") for key, value in source.credentials.items()}
    source = source.model_copy(update={"credentials": credentials})
    kind = scheme(source.url or "data:")
    opener = _OPENERS.get(kind)
    if opener is None:
        raise SourceInvalidError(f"the url starts with {kind[:20]!r}, not with {', '.join(_OPENERS)}")
    with ExitStack() as stack:
        with context.policy.watching(source):
            found = stack.enter_context(opener(source, context))
        yield found if isinstance(found, RemoteFolder) else PolicyCheckedFile(found, source, context.policy)


class PolicyCheckedFile:
    """A RemoteFile that connects only to where the policy lets it.

    The policy holds for what this thread connects to: while chunks are read it may be somebody else's turn.
    """

    def __init__(self, remote: RemoteFile, source: Source, policy: EgressPolicy) -> None:
        self.name = remote.name
        self.digest = remote.digest
        self._remote = remote
        self._source = source
        self._policy = policy

    @contextmanager
    def open(self, offset: int) -> Iterator[RangeStream]:
        with ExitStack() as stack:
            with self._policy.watching(self._source):
                opened = stack.enter_context(self._remote.open(offset))
            yield opened
