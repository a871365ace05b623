"""Objects of S3, Google Storage and Azure."""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import replace

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)
from tests.unit.builder.sources.fetcher import Fetcher, digest_of

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.builder.sources.egress_proxy import EgressProxy
from modelyard.contract.errors import (
    SourceDeniedError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
)

S3_HEADERS = {"ETag": '"a"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}


def _s3(web: WebServer, **more: str) -> dict[str, object]:
    keys = {"AWS_ENDPOINT_URL": web.url, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    return {"url": "s3://bucket/folder/model%20a.pkl", "credentials": keys | more}


def test_s3_object_is_fetched_with_its_credentials(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"12345", headers=S3_HEADERS)
    fetched = fetcher(**_s3(web), digest=digest_of(b"12345"))
    assert (fetched.name, fetched.size) == ("model a.pkl", 5)
    assert web.requests[0].path == "/bucket/folder/model%20a.pkl"
    assert "me/" in web.requests[0].headers["authorization"]


def test_s3_request_without_a_secret_is_anonymous(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"12345", headers=S3_HEADERS)
    fetcher(url="s3://bucket/m", credentials={"AWS_ENDPOINT_URL": web.url})
    assert "authorization" not in web.requests[0].headers


def test_azure_blob_is_fetched_with_its_sas_key(web: WebServer, fetcher: Fetcher) -> None:
    web.respond = lambda _: Response(body=b"12345", headers=S3_HEADERS)
    credentials = {"AZURE_ENDPOINT": web.url, "AZURE_STORAGE_SAS_KEY": "sv=1&sig=s3cret"}
    url = "abfss://container@account.dfs.core.windows.net/deep/m.pkl"
    assert fetcher(url=url, credentials=credentials).name == "m.pkl"
    assert web.requests[0].path.endswith("container/deep/m.pkl?sv=1&sig=s3cret")


def test_interrupted_object_is_resumed(web: WebServer, fetcher: Fetcher) -> None:
    body = b"0123456789" * 1_000_000

    def answer(request: Request) -> Response:
        if "range" not in request.headers:
            return Response(body=body, headers=S3_HEADERS, drop_after=8_000_000)
        start = int(request.headers["range"].removeprefix("bytes=").partition("-")[0])
        content_range = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return Response(206, body[start:], S3_HEADERS | content_range)

    web.respond = answer
    assert fetcher(**_s3(web)).digest == digest_of(body)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceNotFoundError),
        (403, SourceForbiddenError),
        (401, SourceForbiddenError),
        (500, SourceUnavailableError),
    ],
)
def test_store_error_becomes_a_source_error(
    web: WebServer, fetcher: Fetcher, status: int, error: type[SourceError]
) -> None:
    web.respond = lambda _: Response(status)
    with pytest.raises(error, match=r"s3://bucket/folder/model%20a.pkl") as failure:
        fetcher(**_s3(web))
    assert "s3cret" not in str(failure.value)
    assert "\n" not in str(failure.value)


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "gs:///key"])
def test_url_without_an_object_is_invalid(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError):
        fetcher(url=url)


class PanicException(BaseException):
    """Stands for a panic, whose class no module exports."""


def test_panic_of_the_library_is_an_error_of_the_source(
    web: WebServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    def panic(*_: object, **__: object) -> None:
        raise PanicException("request must be valid")

    monkeypatch.setattr("obstore.get", panic)
    with pytest.raises(SourceRefusedError, match="rejects the url, the Secret or the response"):
        fetcher(**_s3(web))
    monkeypatch.setattr("modelyard.object_stores.connection.from_url", panic)
    with pytest.raises(SourceInvalidError, match="rejects the url"):
        fetcher(**_s3(web))


DENIES_SECOND = EgressPolicy(denied=(ipaddress.ip_network("127.0.0.2/32"),))


@pytest.fixture
def guarded(fetcher: Fetcher) -> Fetcher:
    fetcher.context = replace(fetcher.context, policy=DENIES_SECOND)
    return fetcher


def _blob(web: WebServer) -> dict[str, object]:
    keys = {"AZURE_ENDPOINT": web.url, "AZURE_STORAGE_SAS_KEY": "sv=1&sig=s3cret"}
    return {"url": "abfs://container@account.dfs.core.windows.net/m.pkl", "credentials": keys}


def test_object_is_fetched_through_the_egress_proxy(web: WebServer, guarded: Fetcher) -> None:
    body = b"0123456789" * 500_000
    web.respond = lambda _: Response(body=body, headers=S3_HEADERS)
    assert guarded(**_s3(web)).digest == digest_of(body)
    assert "connection" in web.requests[0].headers  # which the proxy adds


@pytest.mark.parametrize("store", [_s3, _blob])
def test_redirect_of_a_store_to_a_denied_address_is_an_error(
    web: WebServer, other_web: WebServer, guarded: Fetcher, store: Callable[[WebServer], dict[str, object]]
) -> None:
    port = other_web.address.rpartition(":")[2]
    web.respond = lambda _: Response(307, headers={"Location": f"http://127.0.0.2:{port}/b/k"})
    with pytest.raises(SourceDeniedError, match=r"127\.0\.0\.2 leads to an address"):
        guarded(**store(web))
    assert not other_web.requests


def test_denied_endpoint_of_a_store_is_an_error(guarded: Fetcher) -> None:
    with pytest.raises(SourceDeniedError):
        guarded(url="s3://bucket/key", credentials={"AWS_ENDPOINT_URL": "http://127.0.0.2:9"})


def test_denied_endpoint_is_an_error_with_a_proxy_of_the_platform(
    guarded: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    with pytest.raises(SourceDeniedError):
        guarded(url="s3://bucket/key", credentials={"AWS_ENDPOINT_URL": "http://127.0.0.2:9"})


def test_redirect_to_a_host_of_no_proxy_is_denied_with_a_proxy_of_the_platform(
    web: WebServer, other_web: WebServer, guarded: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    with EgressProxy(EgressPolicy()) as platform:
        monkeypatch.setenv("HTTP_PROXY", platform.url)
        monkeypatch.setenv("NO_PROXY", "127.0.0.2")
        web.respond = lambda _: Response(body=b"x", headers=S3_HEADERS)
        assert guarded(**_s3(web)).size == 1
        port = other_web.address.rpartition(":")[2]
        web.respond = lambda _: Response(307, headers={"Location": f"http://127.0.0.2:{port}/b/k"})
        with pytest.raises(SourceDeniedError, match=r"127\.0\.0\.2 leads to an address"):
            guarded(**_s3(web))
    assert not other_web.requests
    with pytest.raises(SourceUnavailableError):  # the proxy has ended
        guarded(**_s3(web))


def test_name_of_a_store_that_resolves_to_another_address_later_is_denied(
    web: WebServer, guarded: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy checks the address that it connects to, not the result of an earlier lookup."""
    found = iter(["127.0.0.1", "127.0.0.2"])
    port = int(web.address.rpartition(":")[2])

    def getaddrinfo(host: str, *_: object, **__: object) -> list[object]:
        assert host == "rebind.test"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(found), port))]

    web.respond = lambda _: Response(503)
    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    with pytest.raises(SourceDeniedError):
        guarded(url="s3://bucket/key", credentials={"AWS_ENDPOINT_URL": f"http://rebind.test:{port}"})
    assert len(web.requests) == 1
