"""Artifacts of a registry."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from tests.support.web_server import (
    Request,
    Response,
    WebServer,
)
from tests.unit.builder.sources.fetcher import Fetcher, digest_of
from tests.unit.builder.sources.secure_server import tls_server

from modelyard.builder.sources.egress_policy import EgressPolicy
from modelyard.contract.errors import (
    DigestMismatchError,
    SourceDeniedError,
    SourceError,
    SourceForbiddenError,
    SourceInvalidError,
    SourceNotFoundError,
    SourceRefusedError,
    SourceUnavailableError,
    UnsafeArchiveError,
)
from modelyard.oci.registry_config import RegistryAccess


def _layer(content: bytes, title: str | None = None) -> dict[str, object]:
    annotations = {"annotations": {"org.opencontainers.image.title": title}} if title else {}
    return {
        "mediaType": "application/octet-stream",
        "digest": digest_of(content),
        "size": len(content),
        **annotations,
    }


def _artifact(*layers: dict[str, object], **manifest: object) -> bytes:
    return json.dumps({"schemaVersion": 2, "layers": layers, **manifest}).encode()


def _serve(web: WebServer, manifest: bytes, *blobs: bytes) -> None:
    paths = {"/v2/models/x/manifests/1": manifest} | {f"/v2/models/x/blobs/{digest_of(b)}": b for b in blobs}
    web.respond = lambda request: (
        Response(body=paths[request.path]) if request.path in paths else Response(404)
    )


def _oci(web: WebServer) -> str:
    return f"oci://{web.address}/models/x:1"


@pytest.mark.parametrize(
    ("title", "name"),
    [("model.pkl", "model.pkl"), ("out/model.pkl", "model.pkl"), (None, "named"), ("..", "named")],
)
def test_artifact_of_one_file_is_the_file(
    web: WebServer, fetcher: Fetcher, title: str | None, name: str
) -> None:
    _serve(web, _artifact(_layer(b"bytes", title), _layer(b"")), b"bytes")
    fetched = fetcher(url=_oci(web), digest=digest_of(b"bytes"))
    assert (fetched.name, fetched.path.read_bytes()) == (name, b"bytes")


def test_artifact_of_several_files_is_a_folder(web: WebServer, fetcher: Fetcher) -> None:
    manifest = _artifact(_layer(b"1", "MLmodel"), _layer(b"22", "data/model.pkl"))
    _serve(web, manifest, b"1", b"22")
    fetched = fetcher(url=_oci(web), unpack=True, digest=digest_of(manifest))
    assert (fetched.path / "data/model.pkl").read_bytes() == b"22"
    assert (fetched.path / "MLmodel").read_bytes() == b"1"
    assert (fetched.size, fetched.digest) == (3, digest_of(manifest))


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
        (_artifact(_layer(b"1") | {"annotations": "x"}), False, SourceRefusedError, "malformed"),
        (_artifact(_layer(b"1") | {"size": -1}), False, SourceRefusedError, "malformed"),
        (b"[" * 100_000, False, SourceRefusedError, "not a JSON object"),
        (b'{"layers": ' + b"9" * 5000 + b"}", False, SourceRefusedError, "not a JSON object"),
        (INDEX, False, SourceRefusedError, "index of several images"),
        (b"not json", False, SourceRefusedError, "not a JSON object"),
    ],
)
def test_unusable_artifact_is_an_error(
    web: WebServer, fetcher: Fetcher, manifest: bytes, unpack: bool, error: type[Exception], message: str
) -> None:
    _serve(web, manifest, b"1", b"2")
    with pytest.raises(error, match=message):
        fetcher(url=_oci(web), unpack=unpack)


def test_interrupted_blob_is_resumed(web: WebServer, fetcher: Fetcher) -> None:
    body = b"0123456789" * 100_000
    _serve(web, _artifact(_layer(body, "m")))
    manifest = web.respond

    def answer(request: Request) -> Response:
        if "/blobs/" not in request.path:
            return manifest(request)
        if "range" not in request.headers:
            return Response(body=body, drop_after=500_000)
        start = int(request.headers["range"].removeprefix("bytes=").partition("-")[0])
        return Response(206, body[start:], {"Content-Range": f"bytes {start}-{len(body) - 1}/{len(body)}"})

    web.respond = answer
    assert fetcher(url=_oci(web)).digest == digest_of(body)
    assert len(web.requests) == 3


def test_blob_with_another_digest_is_an_error(web: WebServer, fetcher: Fetcher) -> None:
    _serve(web, _artifact(_layer(b"12345", "m")))
    manifest = web.respond
    web.respond = lambda request: Response(body=b"other") if "/blobs/" in request.path else manifest(request)
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
def test_registry_error_becomes_a_source_error(
    web: WebServer, fetcher: Fetcher, status: int, error: type[SourceError]
) -> None:
    web.respond = lambda _: Response(status)
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
def test_credentials_are_sent_to_the_registry(
    web: WebServer, fetcher: Fetcher, credentials: dict[str, str]
) -> None:
    _serve(web, _artifact(_layer(b"1", "m")), b"1")
    served = web.respond

    def answer(request: Request) -> Response:
        if request.headers.get("authorization") in {"Basic bWU6czNjcmV0", "Bearer s3cret"}:
            return served(request)
        return Response(401, headers={"WWW-Authenticate": 'Basic realm="x"'})

    web.respond = answer
    filled = {key: value.replace("ADDRESS", web.address) for key, value in credentials.items()}
    assert fetcher(url=_oci(web), credentials=filled).size == 1
    with pytest.raises(SourceForbiddenError):
        fetcher(url=_oci(web))


@pytest.mark.parametrize("redirected", ["blob", "token service"])
def test_scheme_of_a_url_that_a_registry_leads_to_is_checked(
    web: WebServer, other_web: WebServer, fetcher: Fetcher, redirected: str
) -> None:
    """The registry itself has plain HTTP by the platform's choice. Another server has not."""
    _serve(web, _artifact(_layer(b"bytes")))
    serve = web.respond

    def answer(request: Request) -> Response:
        if redirected == "blob" and "/blobs/" in request.path:
            return Response(307, headers={"Location": f"{other_web.url}/blob"})
        if redirected == "token service" and "authorization" not in request.headers:
            return Response(401, headers={"WWW-Authenticate": f'Bearer realm="{other_web.url}/token"'})
        return serve(request) if "/blobs/" not in request.path else Response(body=b"bytes")

    web.respond = answer
    other_web.respond = lambda request: Response(
        body=b'{"token": "t"}' if request.path.startswith("/token") else b"bytes"
    )
    fetcher.context = replace(fetcher.context, policy=EgressPolicy(schemes=frozenset({"oci"})))
    with pytest.raises(
        SourceDeniedError, match=r"leads to 127\.0\.0\.1: urls that start with 'http' are not"
    ):
        fetcher(url=_oci(web))
    assert not other_web.requests
    fetcher.context = replace(fetcher.context, policy=EgressPolicy(schemes=frozenset({"oci", "http"})))
    assert fetcher(url=_oci(web)).digest == digest_of(b"bytes")


def test_redirect_to_https_is_part_of_the_scheme_oci(
    web: WebServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    with tls_server(tmp_path) as store:
        _serve(web, _artifact(_layer(b"bytes")))
        serve = web.respond
        web.respond = lambda request: (
            Response(307, headers={"Location": f"{store.url}/blob"})
            if "/blobs/" in request.path
            else serve(request)
        )
        store.respond = lambda _: Response(body=b"bytes")
        fetcher.context = replace(
            fetcher.context,
            access=RegistryAccess(ca_bundle=tmp_path / "ca.pem"),
            policy=EgressPolicy(schemes=frozenset({"oci"})),
        )
        assert fetcher(url=_oci(web)).digest == digest_of(b"bytes")


def test_invalid_reference_or_secret_is_invalid(fetcher: Fetcher) -> None:
    with pytest.raises(SourceInvalidError, match="not the name of an image"):
        fetcher(url="oci://registry.example/UPPER")
    with pytest.raises(SourceInvalidError, match="none of the keys"):
        fetcher(url="oci://registry.example/x", credentials={"pass": "x"})
