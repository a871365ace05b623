"""Web servers with responses that break HTTP: a download ends with the file, or with an error with a code."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pytest
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.coded_error import CodedError

_OK: Final = b"HTTP/1.1 200 OK\r\n"
_CHUNKED: Final = _OK + b"Transfer-Encoding: chunked\r\n\r\n"
_BODY: Final = b"Content-Length: 4\r\n\r\nbody"


@contextmanager
def _server(response: bytes) -> Iterator[str]:
    """Send the same bytes to each client, and close the connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    try:
                        connection.sendall(response)
                        connection.shutdown(socket.SHUT_WR)
                        while connection.recv(65536):
                            pass
                    except OSError:  # the client has left
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/m"
        server.shutdown(socket.SHUT_RDWR)
        thread.join()


@pytest.mark.parametrize(
    "response",
    [
        _OK + b"X: y\r\n" * 5000 + _BODY,
        _OK + b"X: " + b"y" * 10_000_000 + b"\r\n" + _BODY,
        b"HTTP/1.1 200 " + b"y" * 200_000 + b"\r\n" + _BODY,
        b"HTTP/1.1 99999 OK\r\n" + _BODY,
        b"no HTTP at all\r\n\r\n",
        b"\0" * 100_000,
        _OK + b"Content-Length: -1\r\n\r\n" + b"y" * 2000,
        _OK + b"Content-Length: 9223372036854775808\r\n\r\nbody",
        _OK + b"Content-Length: 1001\r\n\r\n" + b"y" * 1001,
        _OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\nbody",
        _OK + b"\r\n" + b"y" * 5_000_000,
        _CHUNKED + b"f" * 5000 + b"\r\nbody",
        _CHUNKED + b"-4\r\nbody\r\n0\r\n\r\n",
        _CHUNKED + b"zz\r\nbody\r\n0\r\n\r\n",
        _CHUNKED + b"1\r\ny\r\n" * 1001 + b"0\r\n\r\n",
        _CHUNKED + b"4\r\nbo",
        b"HTTP/1.1 503 Busy\r\nRetry-After: " + b"9" * 5000 + b"\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 416 No\r\nContent-Range: bytes */x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 206 Part\r\nContent-Range: bytes 5-9/x\r\nContent-Length: 5\r\n\r\nhello",
    ],
    ids=range(19),
)
def test_response_that_breaks_http_is_an_error_of_the_source(fetcher: Fetcher, response: bytes) -> None:
    with _server(response) as url, pytest.raises(CodedError) as failure:
        fetcher(url, limit_bytes=1000)
    assert len(str(failure.value)) < 1000


def test_interim_responses_are_skipped(fetcher: Fetcher) -> None:
    with _server(b"HTTP/1.1 100 Continue\r\n\r\n" * 2000 + _OK + _BODY) as url:
        assert fetcher(url).path.read_bytes() == b"body"


def test_content_coding_is_not_decoded(fetcher: Fetcher) -> None:
    """The bytes of a bomb stay as they are, and the digest is of these bytes."""
    with _server(_OK + b"Content-Encoding: gzip\r\n" + _BODY) as url:
        assert fetcher(url).path.read_bytes() == b"body"
