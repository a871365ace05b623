"""Inline content, data URLs, artifacts of a registry, and objects of stores."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest
from tests.support.web_server import (
    Answer,
    Asked,
    WebServer,
)

from modelyard.builder.sources import (
    FetchContext,
    FetchedFile,
    fetch,
)
from modelyard.builder.sources.object_store import store_config
from modelyard.contract.build_request import Source
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceTooLargeError,
    SourceUnavailableError,
    UnsafeArchiveError,
)
from modelyard.retry import Retry


class Fetcher:
    def __init__(self, folder: Path, retry: Retry) -> None:
        self.folder = folder
        self.context = FetchContext(retry=retry)

    def __call__(self, *, limit_bytes: int = 2**30, **source: object) -> FetchedFile:
        asked = Source.model_validate(source)
        return fetch(asked, self.folder, name="named", limit_bytes=limit_bytes, context=self.context)


@pytest.fixture
def fetcher(tmp_path: Path, retry: Retry) -> Fetcher:
    return Fetcher(tmp_path, retry)


def _digest(content: bytes) -> str:
    return "sha256:" + hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize(
    ("source", "content"),
    [
        ({"content": "def run(x): ...  # é"}, "def run(x): ...  # é".encode()),
        ({"content": ""}, b""),
        ({"url": "data:,a%20b,c"}, b"a b,c"),
        ({"url": "data:text/x-python;base64,aGk="}, b"hi"),
        ({"url": "data:;base64,"}, b""),
    ],
)
def test_what_is_in_the_request_itself(fetcher: Fetcher, source: dict[str, str], content: bytes) -> None:
    fetched = fetcher(**source, digest=_digest(content))
    assert fetched.name == "named"
    assert fetched.path.read_bytes() == content


def test_inline_content_is_bounded_and_checked(fetcher: Fetcher) -> None:
    with pytest.raises(SourceTooLargeError):
        fetcher(content="12345", limit_bytes=4)
    with pytest.raises(DigestMismatchError):
        fetcher(content="12345", digest=_digest(b""))


@pytest.mark.parametrize("url", ["data:text/plain", "data:;base64,s3cret!", "data:;base64,YQ"])
def test_bad_data_urls(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError, match="data url") as failure:
        fetcher(url=url)
    assert "s3cret" not in str(failure.value)


def _layer(content: bytes, title: str | None = None) -> dict[str, object]:
    annotations = {"annotations": {"org.opencontainers.image.title": title}} if title else {}
    return {
        "mediaType": "application/octet-stream",
        "digest": _digest(content),
        "size": len(content),
        **annotations,
    }


def _artifact(*layers: dict[str, object], **manifest: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": layers, **manifest}).encode()


def _serve(web: WebServer, manifest: bytes, *blobs: bytes) -> None:
    paths = {"/v2/models/x/manifests/1": manifest} | {f"/v2/models/x/blobs/{_digest(b)}": b for b in blobs}
    web.answer = lambda asked: Answer(body=paths[asked.path]) if asked.path in paths else Answer(404)


def _oci(web: WebServer) -> str:
    return f"oci://{web.address}/models/x:1"


@pytest.mark.parametrize(
    ("title", "name"),
    [("model.pkl", "model.pkl"), ("out/model.pkl", "model.pkl"), (None, "named"), ("..", "named")],
)
def test_an_artifact_of_one_file(web: WebServer, fetcher: Fetcher, title: str | None, name: str) -> None:
    _serve(web, _artifact(_layer(b"bytes", title), _layer(b"")), b"bytes")
    fetched = fetcher(url=_oci(web), digest=_digest(b"bytes"))
    assert (fetched.name, fetched.path.read_bytes()) == (name, b"bytes")


def test_an_artifact_of_several_files_is_a_folder(web: WebServer, fetcher: Fetcher) -> None:
    manifest = _artifact(_layer(b"1", "MLmodel"), _layer(b"22", "data/model.pkl"))
    _serve(web, manifest, b"1", b"22")
    fetched = fetcher(url=_oci(web), unpack=True, digest=_digest(manifest))
    assert (fetched.path / "data/model.pkl").read_bytes() == b"22"
    assert (fetched.path / "MLmodel").read_bytes() == b"1"
    assert (fetched.size, fetched.digest) == (3, _digest(manifest))


INDEX = json.dumps({"schemaVersion": 2, "manifests": []}).encode()


@pytest.mark.parametrize(
    ("manifest", "unpack", "error", "message"),
    [
        (
            _artifact(_layer(b"1", "a"), _layer(b"2", "b")),
            False,
            SourceRefusedError,
            "has 2 files .a, b.: set unpack",
        ),
        (_artifact(_layer(b"1"), _layer(b"2")), True, SourceRefusedError, "no file names"),
        (_artifact(_layer(b"1", "a"), _layer(b"2", "a")), True, SourceRefusedError, "same path"),
        (_artifact(_layer(b"1", "a"), _layer(b"2", "a/b")), True, SourceRefusedError, "same path"),
        (
            _artifact(_layer(b"1", "../a"), _layer(b"2", "b")),
            True,
            UnsafeArchiveError,
            r"'\.\./a' leads outside",
        ),
        (_artifact(_layer(b"1", "/a"), _layer(b"2", "b")), True, UnsafeArchiveError, "absolute"),
        (_artifact(_layer(b"", "a")), False, SourceNotFoundError, "no file in it"),
        (_artifact(_layer(b"1") | {"digest": "sha256:../x"}), False, SourceRefusedError, "malformed"),
        (INDEX, False, SourceRefusedError, "index of several images"),
        (b"not json", False, SourceRefusedError, "not a JSON object"),
    ],
)
def test_artifacts_that_cannot_be_used(
    web: WebServer, fetcher: Fetcher, manifest: bytes, unpack: bool, error: type[Exception], message: str
) -> None:
    _serve(web, manifest, b"1", b"2")
    with pytest.raises(error, match=message):
        fetcher(url=_oci(web), unpack=unpack)


def test_a_blob_that_breaks_is_resumed(web: WebServer, fetcher: Fetcher) -> None:
    body = b"0123456789" * 100_000
    _serve(web, _artifact(_layer(body, "m")))
    manifest = web.answer

    def answer(asked: Asked) -> Answer:
        if "/blobs/" not in asked.path:
            return manifest(asked)
        if "range" not in asked.headers:
            return Answer(body=body, drop_after=500_000)
        start = int(asked.headers["range"].removeprefix("bytes=").partition("-")[0])
        return Answer(206, body[start:], {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"})

    web.answer = answer
    assert fetcher(url=_oci(web)).digest == _digest(body)
    assert len(web.asked) == 3


def test_a_blob_that_is_not_what_the_manifest_says(web: WebServer, fetcher: Fetcher) -> None:
    _serve(web, _artifact(_layer(b"12345", "m")))
    manifest = web.answer
    web.answer = lambda asked: Answer(body=b"other") if "/blobs/" in asked.path else manifest(asked)
    with pytest.raises(DigestMismatchError):
        fetcher(url=_oci(web))


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceNotFoundError),
        (403, SourceForbiddenError),
        (503, SourceUnavailableError),
        (400, SourceRefusedError),
    ],
)
def test_a_registry_that_has_it_not(
    web: WebServer, fetcher: Fetcher, status: int, error: type[SourceError]
) -> None:
    web.answer = lambda _: Answer(status)
    with pytest.raises(error):
        fetcher(url=_oci(web))


@pytest.mark.parametrize(
    "credentials",
    [
        {"username": "me", "password": "s3cret"},
        {"token": "s3cret"},
        {".dockerconfigjson": '{"auths": {"ADDRESS": {"auth": "bWU6czNjcmV0"}}}'},
    ],
)
def test_credentials_for_a_registry(web: WebServer, fetcher: Fetcher, credentials: dict[str, str]) -> None:
    _serve(web, _artifact(_layer(b"1", "m")), b"1")
    served = web.answer

    def answer(asked: Asked) -> Answer:
        if asked.headers.get("authorization") in {"Basic bWU6czNjcmV0", "Bearer s3cret"}:
            return served(asked)
        return Answer(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    web.answer = answer
    given = {key: value.replace("ADDRESS", web.address) for key, value in credentials.items()}
    assert fetcher(url=_oci(web), credentials=given).size == 1
    with pytest.raises(SourceForbiddenError):
        fetcher(url=_oci(web))


def test_what_is_no_artifact(fetcher: Fetcher) -> None:
    with pytest.raises(SourceInvalidError, match="not the name of an image"):
        fetcher(url="oci://registry.example/UPPER")
    with pytest.raises(SourceInvalidError, match="none of the keys"):
        fetcher(url="oci://registry.example/x", credentials={"pass": "x"})


S3_HEADERS = {"ETag": '"a"', "Last-Modified": "Wed, 01 Jan 2025 00:00:00 GMT"}


def _s3(web: WebServer, **more: str) -> dict[str, object]:
    keys = {"AWS_ENDPOINT_URL": web.url, "AWS_ACCESS_KEY_ID": "me", "AWS_SECRET_ACCESS_KEY": "s3cret"}
    return {"url": "s3://bucket/folder/model%20a.pkl", "credentials": keys | more}


def test_an_object_of_s3(web: WebServer, fetcher: Fetcher) -> None:
    web.answer = lambda _: Answer(body=b"12345", headers=S3_HEADERS)
    fetched = fetcher(**_s3(web), digest=_digest(b"12345"))
    assert (fetched.name, fetched.size) == ("model a.pkl", 5)
    assert web.asked[0].path == "/bucket/folder/model%20a.pkl"
    assert "me/" in web.asked[0].headers["authorization"]


def test_an_object_is_asked_for_anonymously_without_a_secret(web: WebServer, fetcher: Fetcher) -> None:
    web.answer = lambda _: Answer(body=b"12345", headers=S3_HEADERS)
    fetcher(url="s3://bucket/m", credentials={"AWS_ENDPOINT_URL": web.url})
    assert "authorization" not in web.asked[0].headers


def test_an_object_of_azure(web: WebServer, fetcher: Fetcher) -> None:
    web.answer = lambda _: Answer(body=b"12345", headers=S3_HEADERS)
    credentials = {"AZURE_ENDPOINT": web.url, "AZURE_STORAGE_SAS_KEY": "sv=1&sig=s3cret"}
    url = "abfss://container@account.dfs.core.windows.net/deep/m.pkl"
    assert fetcher(url=url, credentials=credentials).name == "m.pkl"
    assert web.asked[0].path.endswith("container/deep/m.pkl?sv=1&sig=s3cret")


def test_a_transfer_from_a_store_goes_on_where_it_broke(web: WebServer, fetcher: Fetcher) -> None:
    body = b"0123456789" * 1_000_000

    def answer(asked: Asked) -> Answer:
        if "range" not in asked.headers:
            return Answer(body=body, headers=S3_HEADERS, drop_after=8_000_000)
        start = int(asked.headers["range"].removeprefix("bytes=").partition("-")[0])
        content_range = {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"}
        return Answer(206, body[start:], S3_HEADERS | content_range)

    web.answer = answer
    assert fetcher(**_s3(web)).digest == _digest(body)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (404, SourceNotFoundError),
        (403, SourceForbiddenError),
        (401, SourceForbiddenError),
        (500, SourceUnavailableError),
    ],
)
def test_a_store_that_has_it_not(
    web: WebServer, fetcher: Fetcher, status: int, error: type[SourceError]
) -> None:
    web.answer = lambda _: Answer(status)
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
def test_store_config(kind: str, credentials: dict[str, str], config: dict[str, str]) -> None:
    assert store_config(kind, credentials) == config


@pytest.mark.parametrize(
    ("kind", "key"),
    [("s3", "AWS_WEB_IDENTITY_TOKEN_FILE"), ("gs", "GOOGLE_SERVICE_ACCOUNT"), ("abfs", "sas")],
)
def test_keys_that_would_read_the_builds_own_files_are_not_taken(kind: str, key: str) -> None:
    with pytest.raises(SourceInvalidError, match="none of the keys"):
        store_config(kind, {key: "/var/run/secrets/token"})


@pytest.mark.parametrize("url", ["s3://bucket", "s3://bucket/", "gs:///key"])
def test_what_names_no_object(fetcher: Fetcher, url: str) -> None:
    with pytest.raises(SourceInvalidError):
        fetcher(url=url)
