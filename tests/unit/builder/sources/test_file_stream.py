"""Sources as streams that need no disk."""

from __future__ import annotations

import hashlib
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import pytest
from tests.support.web_server import (
    Answer,
    Asked,
    WebServer,
)

from modelyard.builder.sources import (
    FetchContext,
    StreamedSource,
    open_stream,
)
from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.file_stream import FileStream
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
    def open_it(url: str, *, limit_bytes: int = 2**30, **source: object) -> StreamedSource | None:
        asked = Source.model_validate({"url": url, **source})
        return open_stream(asked, name="named", limit_bytes=limit_bytes, context=FetchContext(retry=retry))

    return open_it


def _read(stream: StreamedSource | None, offset: int = 0) -> bytes:
    assert stream is not None
    return b"".join(stream.open(offset))


class Server:
    """Serves ranges of `body`, and breaks after as many bytes as the list says."""

    def __init__(self, *breaks: int, body: bytes = BODY, etag: str | None = '"a"') -> None:
        self.breaks = list(breaks)
        self.body = body
        self.etag = etag

    def __call__(self, asked: Asked) -> Answer:
        drop = self.breaks.pop(0) if self.breaks else None
        headers = {"ETag": self.etag} if self.etag else {}
        if "range" not in asked.headers or asked.headers.get("if-range") != self.etag:
            return Answer(body=self.body, headers=headers, drop_after=drop)
        start = int(asked.headers["range"].removeprefix("bytes=").removesuffix("-"))
        size = len(self.body)
        headers["Content-Range"] = f"bytes {start}-{size - 1}/{size}"
        return Answer(206, self.body[start:], headers, drop_after=drop)


def test_a_stream(web: WebServer, opened: Open) -> None:
    web.answer = Server()
    with opened(f"{web.url}/model.pkl", digest=DIGEST) as stream:
        assert (stream.name, stream.size) == ("model.pkl", len(BODY))
        assert _read(stream) == BODY
        assert stream.digest == DIGEST
    assert len(web.asked) == 1


def test_a_stream_goes_on_where_it_broke_each_time(web: WebServer, opened: Open, waits: list[float]) -> None:
    """More often than a try without progress may fail."""
    web.answer = Server(*[100_000] * 10)
    assert _read(opened(f"{web.url}/m", digest=DIGEST)) == BODY
    assert [asked.headers.get("range") for asked in web.asked[:3]] == [
        None,
        "bytes=100000-",
        "bytes=200000-",
    ]
    assert waits == [0.5] * 10


def test_a_server_without_ranges_is_read_again_from_the_start(web: WebServer, opened: Open) -> None:
    web.answer = Server(2_000_000, etag=None)
    assert _read(opened(f"{web.url}/m", digest=DIGEST)) == BODY


def test_a_reader_may_go_back(web: WebServer, opened: Open) -> None:
    web.answer = Server()
    stream = opened(f"{web.url}/m", digest=DIGEST)
    start = stream.open(0)
    next(start)
    start.close()
    assert _read(stream, 1_000_000) == BODY[1_000_000:]
    assert _read(stream) == BODY
    assert _read(stream, len(BODY) - 1) == BODY[-1:]
    assert stream.digest == DIGEST


@pytest.mark.parametrize("body", [b"!" * len(BODY), BODY[:1000]], ids=["other bytes", "shorter"])
def test_a_file_that_changes_meanwhile(web: WebServer, opened: Open, body: bytes) -> None:
    first = Server(2_000_000, etag=None)
    second = Server(body=body, etag=None)
    web.answer = lambda asked: first(asked) if first.breaks else second(asked)
    stream = opened(f"{web.url}/m")
    with pytest.raises(SourceChangedError, match="m changed during its download"):
        _read(stream)


def test_a_server_that_ends_too_early(web: WebServer, opened: Open) -> None:
    web.answer = Server(*[0] * 4)
    with pytest.raises(SourceUnavailableError):
        _read(opened(f"{web.url}/m"))


def test_a_wrong_digest(web: WebServer, opened: Open) -> None:
    web.answer = Server(body=b"other")
    with pytest.raises(DigestMismatchError, match=f"not {DIGEST}"):
        _read(opened(f"{web.url}/m", digest=DIGEST))


def test_what_is_too_large_is_not_read(web: WebServer, opened: Open) -> None:
    web.answer = Server()
    with pytest.raises(SourceTooLargeError, match="more than the 1000 bytes"):
        opened(f"{web.url}/m", limit_bytes=1000)


def test_what_cannot_be_streamed(web: WebServer, opened: Open) -> None:
    web.answer = lambda _: Answer(body=BODY, chunked=True)
    assert opened(f"{web.url}/m") is None
    assert opened(f"{web.url}/m.zip", unpack=True) is None


def test_inline_content_is_a_stream_too(opened: Open) -> None:
    stream = opened("data:,a%20b", digest="sha256:" + hashlib.sha256(b"a b").hexdigest())
    assert (stream.name, stream.size, _read(stream, 1), _read(stream)) == ("named", 3, b" b", b"a b")


def test_the_policy_holds_for_the_source_alone(web: WebServer, other_web: WebServer, retry: Retry) -> None:
    """Whoever reads the stream may connect to what the source may not: the registry, say."""
    policy = EgressPolicy.from_environment(
        {
            BuildVariable.FETCH_DENIED_NETWORKS: "127.0.0.0/8",
            BuildVariable.FETCH_ALLOWED_NETWORKS: "127.0.0.1/32",
        }
    )
    web.answer = Server(1_500_000)
    context = FetchContext(retry=retry, policy=policy)
    with open_stream(Source(url=f"{web.url}/m"), name="m", limit_bytes=2**30, context=context) as stream:
        chunks = stream.open(0)
        first = next(chunks)
        with socket.create_server(("127.0.0.2", 0)) as server, socket.create_connection(server.getsockname()):
            pass
        assert sum(map(len, chunks)) == len(BODY) - len(first)
        web.answer = lambda _: Answer(302, headers={"Location": "http://127.0.0.2:1/"})
        with pytest.raises(SourceDeniedError):
            _read(stream, 1)


def test_closing_reaches_a_reading_that_was_left_in_the_midst(retry: Retry) -> None:
    """Not only when the reading is collected as garbage."""
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
