"""Objects of S3, Google Storage and Azure."""

from __future__ import annotations

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)
from tests.unit.builder.sources.fetcher import Fetcher, digest_of

from modelyard.builder.sources.object_store import store_config
from modelyard.contract.errors import (
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
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


@pytest.mark.parametrize(
    ("kind", "credentials", "config"),
    [
        ("s3", {}, {"AWS_SKIP_SIGNATURE": "true"}),
        ("s3", {"AWS_REGION": "eu-west-1"}, {"AWS_REGION": "eu-west-1", "AWS_SKIP_SIGNATURE": "true"}),
        ("gs", {"GOOGLE_SERVICE_ACCOUNT_KEY": "{}"}, {"GOOGLE_SERVICE_ACCOUNT_KEY": "{}"}),
        ("abfs", {"AZURE_STORAGE_SAS_KEY": "x", "other": "y"}, {"AZURE_STORAGE_SAS_KEY": "x"}),
        ("abfs", {}, {"AZURE_SKIP_SIGNATURE": "true"}),
    ],
)
def test_store_config_has_the_keys_of_the_store(
    kind: str, credentials: dict[str, str], config: dict[str, str]
) -> None:
    assert store_config(kind, credentials) == config


@pytest.mark.parametrize(
    ("kind", "key"),
    [("s3", "AWS_WEB_IDENTITY_TOKEN_FILE"), ("gs", "GOOGLE_SERVICE_ACCOUNT"), ("abfs", "sas")],
)
def test_keys_that_name_files_of_the_build_are_rejected(kind: str, key: str) -> None:
    with pytest.raises(SourceInvalidError, match="none of the keys"):
        store_config(kind, {key: "/var/run/secrets/token"})


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "gs:///key"])
def test_url_without_an_object_is_invalid(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError):
        fetcher(url=url)
