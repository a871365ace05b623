"""Sources as streams."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)

from modelyard.builder.sources.context import FetchContext
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.fetch import open_stream
from modelyard.builder.sources.file_stream import FileStream, StreamedSource
from modelyard.contract.build_pod import BuildVariable
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceChangedError,
    SourceDeniedError,
    SourceTooLargeError,
    SourceUnavailableError,
)
from modelyard.retry import Retry
from modelyard.streams.range_stream import RangeStream

BODY = bytes(range(256)) * 12 * 1024  # 3 MiB
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()

Open = Callable[..., StreamedSource | None]


@pytest.fixture
def opened(retry: Retry) -> Open:
    def open_url(url: str, *, limit_bytes: int = 2**30, **source: object) -> StreamedSource | None:
        parsed = Source.model_validate({"url": url, **source})
        return open_stream(parsed, name="named", limit_bytes=limit_bytes, context=FetchContext(retry=retry))

    return open_url


def _read(stream: StreamedSource | None, offset: int = 0) -> bytes:
    assert stream is not None
    return b"".join(stream.open(offset))


class Server:
    """Serves ranges of `body`. Each number of `breaks` closes one connection after that number of bytes."""

    def __init__(self, *breaks: int, body: bytes = BODY, etag: str | None = '"a"') -> None:
        self.breaks = list(breaks)
        self.body = body
        self.etag = etag

    def __call__(self, request: Request) -> Response:
        drop = self.breaks.pop(0) if self.breaks else None
        headers = {"ETag": self.etag} if self.etag else {}
        if "range" not in request.headers or request.headers.get("if-range") != self.etag:
            return Response(body=self.body, headers=headers, drop_after=drop)
        start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        size = len(self.body)
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return Response(206, self.body[start:], headers, drop_after=drop)


def test_stream_has_name_size_and_digest(web: WebServer, opened: Open) -> None:
    web.respond = Server()
    with opened(f"{web.url}/model.pkl", digest=DIGEST) as stream:
        assert (stream.name, stream.size) == ("model.pkl", len(BODY))
        assert _read(stream) == BODY
        assert stream.digest == DIGEST
    assert len(web.requests) == 1


def test_stream_resumes_after_each_interruption(web: WebServer, opened: Open, waits: list[float]) -> None:
    """Ten interruptions with progress exceed the attempts without progress, and are no error."""
    web.respond = Server(*[100_000] * 10)
    assert _read(opened(f"{web.url}/m", digest=DIGEST)) == BODY
    assert [request.headers.get("range") for request in web.requests[:3]] == [
        None,
        "bytes=100000-",
        "bytes=200000-",
    ]
    assert waits == [0.5] * 10


def test_file_of_a_server_without_ranges_is_reread_from_the_start(web: WebServer, opened: Open) -> None:
    web.respond = Server(2_000_000, etag=None)
    assert _read(opened(f"{web.url}/m", digest=DIGEST)) == BODY


def test_stream_can_be_opened_at_earlier_offsets(web: WebServer, opened: Open) -> None:
    web.respond = Server()
    stream = opened(f"{web.url}/m", digest=DIGEST)
    start = stream.open(0)
    next(start)
    start.close()
    assert _read(stream, 1_000_000) == BODY[1_000_000:]
    assert _read(stream) == BODY
    assert _read(stream, len(BODY) - 1) == BODY[-1:]
    assert stream.digest == DIGEST


@pytest.mark.parametrize("body", [b"!" * len(BODY), BODY[:1000]], ids=["other bytes", "shorter"])
def test_file_that_changes_is_an_error(web: WebServer, opened: Open, body: bytes) -> None:
    first = Server(2_000_000, etag=None)
    second = Server(body=body, etag=None)
    web.respond = lambda request: first(request) if first.breaks else second(request)
    stream = opened(f"{web.url}/m")
    with pytest.raises(SourceChangedError, match="m changed during its download"):
        _read(stream)


def test_response_that_ends_early_is_an_error(web: WebServer, opened: Open) -> None:
    web.respond = Server(*[0] * 4)
    with pytest.raises(SourceUnavailableError):
        _read(opened(f"{web.url}/m"))


def test_other_digest_is_an_error(web: WebServer, opened: Open) -> None:
    web.respond = Server(body=b"other")
    with pytest.raises(DigestMismatchError, match=f"not {DIGEST}"):
        _read(opened(f"{web.url}/m", digest=DIGEST))


def test_file_beyond_the_limit_is_not_read(web: WebServer, opened: Open) -> None:
    web.respond = Server()
    with pytest.raises(SourceTooLargeError, match="more than the 1000 bytes"):
        opened(f"{web.url}/m", limit_bytes=1000)


def test_archive_and_file_of_unknown_size_are_no_streams(web: WebServer, opened: Open) -> None:
    web.respond = lambda _: Response(body=BODY, chunked=True)
    assert opened(f"{web.url}/m") is None
    assert opened(f"{web.url}/m.zip", unpack=True) is None


def test_inline_content_is_a_stream(opened: Open) -> None:
    stream = opened("data:,a%20b", digest="sha256:" + hashlib.sha256(b"a b").hexdigest())
    assert (stream.name, stream.size, _read(stream, 1), _read(stream)) == ("named", 3, b" b", b"a b")


def test_policy_applies_to_connections_of_the_source_only(
    web: WebServer, other_web: WebServer, retry: Retry
) -> None:
    """The reader of a stream may connect to denied addresses, the registry for example."""
    policy = EgressPolicy.from_environment(
        {
            BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.0/8",
            BuildVariable.FETCH_ALLOWED_NETWORKS: "127.0.0.1/32",
        }
    )
    web.respond = Server(1_500_000)
    context = FetchContext(retry=retry, policy=policy)
    with open_stream(Source(url=f"{web.url}/m"), name="m", limit_bytes=2**30, context=context) as stream:
        chunks = stream.open(0)
        first = next(chunks)
        with socket.create_server(("127.0.0.2", 0)) as server, socket.create_connection(server.getsockname()):
            pass
        assert sum(map(len, chunks)) == len(BODY) - len(first)
        web.respond = lambda _: Response(302, headers={"Location": "http://127.0.0.2:1/"})
        with pytest.raises(SourceDeniedError):
            _read(stream, 1)


def test_close_ends_a_reading_that_was_left_in_the_middle(retry: Retry) -> None:
    """The connection closes at once, not only when the generator is garbage collected."""
    events: list[str] = []

    class Remote:
        name, digest = "file", None

        @contextmanager
        def open(self, offset: int) -> Iterator[RangeStream]:
            try:
                yield RangeStream(offset, 4, iter([b"ab", b"cd"]))
            finally:
                events.append("closed")

    stream = FileStream(Remote(), "named", 2**30, FetchContext(retry=retry))
    chunks = stream.open(0)
    assert next(chunks) == b"ab"
    stream.close()
    assert events == ["closed"]
