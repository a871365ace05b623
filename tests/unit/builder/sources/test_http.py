"""Files at http and https URLs."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from pathlib import Path

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)
from tests.unit.builder.sources.fetcher import Fetcher

from modelyard.builder.sources.download import FetchedFile
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
    SourceUnavailableError,
)

BODY = bytes(range(256)) * 4096  # 1 MiB: more than one read of a socket returns
DIGEST = "sha256:" + hashlib.sha256(BODY).hexdigest()


def test_file_is_fetched_with_its_query(web: WebServer, fetcher: Fetcher, tmp_path: Path) -> None:
    web.respond = lambda _: Response(body=BODY)
    fetched = fetcher(f"{web.url}/models/my%20model.pkl?sig=s3cret", digest=DIGEST)
    assert fetched == FetchedFile(tmp_path / "my model.pkl", "my model.pkl", len(BODY), DIGEST)
    assert fetched.path.read_bytes() == BODY
    assert web.requests[0].path == "/models/my%20model.pkl?sig=s3cret"
    assert fetcher.log == [f"my model.pkl: 1 MiB, {DIGEST}"]


@pytest.mark.parametrize(
    ("header", "value", "note"),
    [
        ("Content-Encoding", "gzip", "is sent with Content-Encoding 'gzip', although"),
        ("Content-Encoding", "identity", None),
        (
            "Content-Disposition",
            'attachment; filename="w.pkl"',
            "is named 'w.pkl' by the server: the name in",
        ),
        ("Content-Disposition", "attachment; filename*=UTF-8''%c3%a9.pkl; size=1", "is named 'é.pkl' by"),
        ("Content-Disposition", 'attachment; filename="download"', None),
        ("Content-Disposition", "inline", None),
    ],
)
def test_other_bytes_or_name_than_expected_are_logged_once(
    web: WebServer, fetcher: Fetcher, header: str, value: str, note: str | None
) -> None:
    web.respond = lambda request: Response(
        body=BODY, headers={header: value}, drop_after=None if len(web.requests) > 1 else 300_000
    )
    fetched = fetcher(f"{web.url}/download?sig=s3cret")
    assert fetched.path.read_bytes() == BODY
    assert fetched.name == "download"
    notes = [line for line in fetcher.log if line.startswith(f"{web.url}/download?… is ")]
    assert len(notes) == (note is not None)
    assert (note or "") in "".join(notes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Location", "http://\xff\xfe/"),
        ("Content-Length", "\xd9\xa3"),
        ("ETag", '"\xff"'),
        ("Location", "http://[::1"),
    ],
)
def test_header_outside_of_ascii_is_no_crash(web: WebServer, fetcher: Fetcher, name: str, value: str) -> None:
    status = 302 if name == "Location" else 200
    web.respond = lambda _: Response(status, headers={name: value})
    with contextlib.suppress(SourceError):
        fetcher(web.url)
    assert web.requests


@pytest.mark.parametrize(
    "url", ["http://0177\u30020\u30020\u30021/m", "http://169\uff61254\uff6100252\uff612/m"]
)
def test_host_that_is_valid_in_one_reading_only_is_invalid(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError, match="not a valid url"):
        fetcher(url)


def test_url_without_a_file_name_gets_the_given_name(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"x")
    assert fetcher(web.url).name == "named"


@pytest.mark.parametrize(
    ("status", "error", "tries"),
    [
        (400, SourceRefusedError, 1),
        (401, SourceForbiddenError, 1),
        (403, SourceForbiddenError, 1),
        (404, SourceNotFoundError, 1),
        (410, SourceNotFoundError, 1),
        (418, SourceRefusedError, 1),
        (429, SourceUnavailableError, 4),
        (500, SourceUnavailableError, 4),
    ],
)
def test_status_of_the_server_becomes_a_source_error(
    web: WebServer, fetcher: Fetcher, status: int, error: type[SourceError], tries: int
) -> None:
    web.respond = lambda _: Response(status)
    with pytest.raises(error, match=f"/model.pkl.* answers {status}") as failure:
        fetcher(f"{web.url}/model.pkl?sig=s3cret")
    assert "s3cret" not in str(failure.value) + "".join(fetcher.log)
    assert len(web.requests) == tries


def test_overloaded_server_is_retried_after_its_retry_after(
    web: WebServer, fetcher: Fetcher, waits: list[float]
) -> None:
    answers = iter([Response(500), Response(503, headers={"Retry-After": "5"}), Response(body=BODY)])
    web.respond = lambda _: next(answers)
    assert fetcher(f"{web.url}/m").digest == DIGEST
    assert waits == [0.5, 5.0]
    assert "trying again in 5 s" in fetcher.log[1]


def test_unreachable_server_is_retried(fetcher: Fetcher, waits: list[float]) -> None:
    with pytest.raises(SourceUnavailableError, match=r"http://127.0.0.1:1/m\?… cannot be downloaded: "):
        fetcher("http://127.0.0.1:1/m?sig=s3cret")
    assert len(waits) == 3


class InterruptingServer:
    """Closes the first connection after half of the file, then serves ranges."""

    def __init__(self, *etags: str | None, ranges: bool = True) -> None:
        self.etags = list(etags)
        self.ranges = ranges
        self.answers: list[int] = []

    def __call__(self, request: Request) -> Response:
        answer = self._respond(request)
        self.answers.append(answer.status)
        return answer

    def _respond(self, request: Request) -> Response:
        etag = self.etags.pop(0)
        headers = {"ETag": etag} if etag else {}
        if not (self.ranges and "range" in request.headers and request.headers.get("if-range") == etag):
            drop = len(BODY) // 2 if self.etags else None
            return Response(body=BODY, headers=headers, drop_after=drop)
        start = int(request.headers["range"].removeprefix("bytes=").removesuffix("-"))
        headers["Content-Range"] = f"bytes {start}-{len(BODY) - 1}/{len(BODY)}"
        return Response(206, BODY[start:], headers)


@pytest.mark.parametrize(
    ("server", "sends_range", "answers"),
    [
        pytest.param(InterruptingServer('"a"', '"a"'), True, [200, 206], id="resumes after the last byte"),
        pytest.param(
            InterruptingServer('"a"', '"b"'), True, [200, 200], id="starts again when the file has changed"
        ),
        pytest.param(
            InterruptingServer('"a"', '"a"', ranges=False),
            True,
            [200, 200],
            id="starts again when ranges are not served",
        ),
        pytest.param(
            InterruptingServer('W/"a"', 'W/"a"'), False, [200, 200], id="starts again with a weak validator"
        ),
        pytest.param(InterruptingServer(None, None), False, [200, 200], id="starts again with no validator"),
    ],
)
def test_interrupted_download(
    web: WebServer, fetcher: Fetcher, server: InterruptingServer, sends_range: bool, answers: list[int]
) -> None:
    web.respond = server
    assert fetcher(f"{web.url}/m", digest=DIGEST).path.read_bytes() == BODY
    first, second = (request.headers.get("range") for request in web.requests)
    assert first is None
    assert second == (f"bytes={len(BODY) // 2}-" if sends_range else None)
    assert server.answers == answers


def test_wrong_range_restarts_the_download(web: WebServer, fetcher: Fetcher) -> None:
    answers = iter(
        [
            Response(body=BODY, headers={"ETag": '"a"'}, drop_after=1000),
            Response(206, BODY[5:], {"ETag": '"a"', "Content-Range": "bytes 5-9/10"}),
            Response(body=BODY),
        ]
    )
    web.respond = lambda _: next(answers)
    assert fetcher(f"{web.url}/m", digest=DIGEST).size == len(BODY)


def test_download_that_never_progresses_fails(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=BODY, drop_after=10)
    with pytest.raises(SourceUnavailableError):
        fetcher(f"{web.url}/m")
    assert len(web.requests) == 4


def test_other_digest_is_an_error(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"other")
    with pytest.raises(DigestMismatchError, match=f"not {DIGEST}"):
        fetcher(f"{web.url}/m", digest=DIGEST)


@pytest.mark.parametrize("headers", [{}, {"Content-Length": "", "Connection": "close"}])
def test_file_beyond_the_limit_is_an_error(web: WebServer, fetcher: Fetcher, headers: dict[str, str]) -> None:
    web.respond = lambda _: Response(body=BODY, headers=headers)
    with pytest.raises(SourceTooLargeError, match="more than the 1000 bytes"):
        fetcher(f"{web.url}/m", limit_bytes=1000)


BASIC = "Basic " + base64.b64encode(b"me:s3cret").decode()


@pytest.mark.parametrize(
    ("credentials", "header", "value"),
    [
        ({"username": "me", "password": "s3cret"}, "authorization", BASIC),
        ({"username": "me", "password": "s3cret\n"}, "authorization", BASIC),
        ({"token": "s3cret"}, "authorization", "Bearer s3cret"),
        ({"header.X-Api-Key": "s3cret"}, "x-api-key", "s3cret"),
    ],
)
def test_credentials_are_not_sent_to_another_origin(
    web: WebServer,
    other_web: WebServer,
    fetcher: Fetcher,
    credentials: dict[str, str],
    header: str,
    value: str,
) -> None:
    moved = {
        "/m": Response(302, headers={"Location": "/n"}),
        "/n": Response(307, headers={"Location": other_web.url}),
    }
    web.respond = lambda request: moved[request.path]
    other_web.respond = lambda _: Response(body=b"x")
    assert fetcher(f"{web.url}/m", credentials=credentials).size == 1
    assert [request.headers.get(header) for request in web.requests] == [value, value]
    assert header not in other_web.requests[0].headers


def test_user_of_the_url_is_not_sent_to_another_origin(
    web: WebServer, other_web: WebServer, fetcher: Fetcher
) -> None:
    web.respond = lambda _: Response(302, headers={"Location": f"{other_web.url}/x"})
    with pytest.raises(SourceNotFoundError) as failure:
        fetcher(f"http://me:s3cret@{web.address}/m")
    assert web.requests[0].headers["authorization"] == BASIC
    assert "authorization" not in other_web.requests[0].headers
    assert "s3cret" not in str(failure.value)


@pytest.mark.parametrize(
    "credentials",
    [{"pasword": "s3cret"}, {"token": "s3cret\nX-Other: 1"}, {"header.X": "s3crét"}],
    ids=["unknown key", "line feed", "not ascii"],
)
def test_unusable_credentials_are_invalid(fetcher: Fetcher, credentials: dict[str, str]) -> None:
    with pytest.raises(SourceInvalidError, match="Secret of secretRef has") as failure:
        fetcher("http://127.0.0.1:1/m", credentials=credentials)
    assert "s3cr" not in str(failure.value)


def test_redirects_are_limited(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(302, headers={"Location": "/again"})
    with pytest.raises(SourceRefusedError, match="more than 5 times"):
        fetcher(f"{web.url}/m")
    assert len(web.requests) == 6


@pytest.mark.parametrize("target", ["file:///etc/passwd", "oci://r/x"])
def test_redirect_to_another_scheme_is_an_error(web: WebServer, fetcher: Fetcher, target: str) -> None:
    web.respond = lambda _: Response(302, headers={"Location": target})
    with pytest.raises(SourceRefusedError, match=r"not an http\(s\) url"):
        fetcher(f"{web.url}/m")


@pytest.mark.parametrize("url", ["http://", "https:///m", "http://h:port/"])
def test_malformed_url_is_invalid(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError):
        fetcher(url)
