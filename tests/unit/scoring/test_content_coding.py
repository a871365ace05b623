"""Packed request bodies and responses of a real scoring process."""

import gzip
import json
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from tests.unit.scoring.conftest import Serve
from tests.unit.scoring.scoring_process import (
    ScoringProcess,
    metric,
    peak_mib,
    request_on,
    send_request,
    until,
)

DRIVER = """
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
def run(data):
    kind, _, rest = data.partition(":")
    if kind == "size":
        return "a" * int(rest)
    if kind == "response":
        return AMLResponse("a" * 5000, 200, eval(rest))
    return len(data)
"""

RAW = """
from azureml.contrib.services.aml_request import rawhttp
def init(): pass
@rawhttp
def run(request):
    return [request.get_data().decode(), request.content_length, request.headers.get("Content-Encoding")]
"""

GZIP = {"Content-Encoding": "gzip"}
ACCEPTS = {"Accept-Encoding": "gzip"}
MIB = 1024 * 1024


@pytest.fixture(scope="module")
def scoring(serve_module: Callable[..., ScoringProcess]) -> ScoringProcess:
    limits = {"MODELYARD_MAX_BODY_BYTES": str(40 * MIB), "MODELYARD_QUEUE_TIMEOUT_MS": "60000"}
    return serve_module(DRIVER, limits)


@pytest.mark.parametrize("size", [1, 20_000, 300_000, 30 * MIB])
def test_packed_body_reaches_run_unpacked(scoring: ScoringProcess, size: int) -> None:
    body = b"x" * size
    assert scoring.score(gzip.compress(body, 1), GZIP).json() == size
    assert scoring.score(zlib.compress(body, 1), {"Content-Encoding": "deflate"}).json() == size


def test_empty_body_with_a_coding_is_empty(scoring: ScoringProcess) -> None:
    assert scoring.score(b"", GZIP).json() == 0


def test_malformed_body_is_400_and_the_connection_stays_open(scoring: ScoringProcess) -> None:
    before = metric(scoring, 'modelyard_scoring_requests_total{code="400"}')
    large = gzip.compress(b"x" * MIB, 0)
    with scoring.connection() as connection:
        for body, message in (
            (b"plain", "The body is not valid gzip."),
            (gzip.compress(b"hello")[:-3], "The gzip body is incomplete."),
            (large[:-1], "The gzip body is incomplete."),
        ):
            response = request_on(connection, "POST", "/score", body, GZIP)
            assert (response.status, response.message) == (400, message)
        assert request_on(connection, "POST", "/score", large, GZIP).json() == MIB
    assert metric(scoring, 'modelyard_scoring_requests_total{code="400"}') == before + 3


def test_body_that_is_too_large_when_unpacked_is_413(scoring: ScoringProcess) -> None:
    bomb = gzip.compress(b"0" * (41 * MIB))
    response = scoring.score(bomb, GZIP)
    assert (response.status, response.message) == (
        413,
        f"The unpacked body is larger than {40 * MIB} bytes.",
    )
    assert metric(scoring, 'modelyard_scoring_requests_total{code="413"}') == 1


def test_memory_for_a_body_that_unpacks_to_gigabytes_is_bounded(scoring: ScoringProcess) -> None:
    bomb = gzip.compress(bytes(16 * MIB)) * 100
    before = peak_mib(scoring.process.pid)
    with ThreadPoolExecutor(4) as pool:
        statuses = [response.status for response in pool.map(lambda _: scoring.score(bomb, GZIP), range(4))]
    assert statuses == [413] * 4
    assert peak_mib(scoring.process.pid) - before < 4 * 40 + 50


def test_packed_bodies_count_as_held_memory(serve: Serve) -> None:
    limit = {"MODELYARD_MAX_HELD_BYTES": str(2 * MIB), "MODELYARD_MAX_BODY_BYTES": str(MIB)}
    scoring = serve(DRIVER, **limit)
    body = gzip.compress(b"x" * MIB)
    for _ in range(4):  # each frees its memory
        assert scoring.score(body, GZIP).json() == MIB


def test_unsupported_coding_is_415(scoring: ScoringProcess) -> None:
    response = scoring.score(b"x", {"Content-Encoding": "br"})
    assert response.status == 415
    assert response.message == "The Content-Encoding 'br' is not supported: send gzip, deflate or identity."
    assert response.headers["accept-encoding"] == "gzip, deflate"


def test_body_without_a_key_is_not_unpacked(serve: Serve, tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "primaryKey").write_text("secret")
    scoring = serve(DRIVER, MODELYARD_KEYS_DIR=str(tmp_path / "keys"))
    assert scoring.score(b"not gzip", GZIP).status == 401
    assert scoring.score(b"x", {"Content-Encoding": "br"}).status == 401
    key = {"Authorization": "Bearer secret"}
    assert scoring.score(b"not gzip", GZIP | key).status == 400


def test_request_object_is_that_of_the_unpacked_body(serve: Serve) -> None:
    scoring = serve(RAW)
    assert scoring.score(gzip.compress(b"hello"), GZIP).json() == ["hello", 5, None]
    large = gzip.compress(b"x" * MIB)
    assert scoring.score(large, GZIP).json() == ["x" * MIB, MIB, None]


def test_client_that_leaves_during_unpacking_frees_its_memory(scoring: ScoringProcess) -> None:
    body = gzip.compress(b"x" * (30 * MIB), 1)
    for _ in range(10):
        with scoring.connection() as connection:
            send_request(connection, "POST", "/score", body, GZIP)
    until(lambda: scoring.score(body, GZIP).status == 200, "memory")


@pytest.mark.parametrize("size", [3000, 100_000, 5 * MIB])
def test_response_is_packed_for_a_client_that_accepts_gzip(scoring: ScoringProcess, size: int) -> None:
    body = b"size:%d" % size
    plain = scoring.score(body)
    packed = scoring.score(body, ACCEPTS)
    assert "content-encoding" not in plain.headers
    assert plain.headers["vary"] == packed.headers["vary"] == "Accept-Encoding"
    assert packed.headers["content-encoding"] == "gzip"
    assert int(packed.headers["content-length"]) == len(packed.body) < len(plain.body)
    assert gzip.decompress(packed.body) == plain.body == json.dumps("a" * size).encode()


def test_small_response_is_not_packed(scoring: ScoringProcess) -> None:
    response = scoring.score(b"size:100", ACCEPTS)
    assert response.body == json.dumps("a" * 100).encode()
    assert "vary" not in response.headers


@pytest.mark.parametrize(
    "headers",
    [
        {"Content-Encoding": "br"},
        {"Content-Type": "image/png"},
        {"Content-Type": "text/event-stream"},
        {"Cache-Control": "public"},
        {"Content-Digest": "sha-256=:x:"},
    ],
)
def test_response_of_a_driver_is_packed_only_if_it_may_be(scoring: ScoringProcess, headers: dict) -> None:
    response = scoring.score(f"response:{headers}".encode(), ACCEPTS)
    expected = "gzip" if "Cache-Control" in headers else headers.get("Content-Encoding")
    assert response.headers.get("content-encoding") == expected
    assert (response.body == b"a" * 5000) is (expected != "gzip")


def test_response_that_must_not_be_transformed_is_not_packed(scoring: ScoringProcess) -> None:
    headers = {"Cache-Control": "no-transform"}
    assert scoring.score(f"response:{headers}".encode(), ACCEPTS).body == b"a" * 5000


def test_etag_of_a_packed_response_is_weak(scoring: ScoringProcess) -> None:
    body = b"response:" + str({"ETag": '"one"'}).encode()
    assert scoring.score(body).headers["etag"] == '"one"'
    assert scoring.score(body, ACCEPTS).headers["etag"] == 'W/"one"'


def test_head_has_the_headers_of_get(scoring: ScoringProcess) -> None:
    for headers in ({}, ACCEPTS):
        get, head = (scoring.request(method, "/docs", headers=headers).headers for method in ("GET", "HEAD"))
        assert get["vary"] == "Accept-Encoding"
        same = ("content-length", "content-encoding", "vary", "content-type")
        assert [head.get(name) for name in same] == [get.get(name) for name in same]


def test_pipelined_responses_keep_their_order_while_one_is_packed(scoring: ScoringProcess) -> None:
    with scoring.connection() as connection:
        send_request(connection, "POST", "/score", b"size:%d" % (3 * MIB), ACCEPTS)
        send_request(connection, "POST", "/score", b"xyz", {"Connection": "close"})
        received = connection.makefile("rb").read()
    first, _, rest = received.partition(b"\r\n\r\n")
    assert b"content-encoding: gzip" in first
    assert rest.endswith(b"\r\n\r\n3")
