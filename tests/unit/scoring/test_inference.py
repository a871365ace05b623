"""The Open Inference Protocol v2 over HTTP: paths, keys, limits, and the form of errors."""

import gzip
import http.client
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.unit.scoring.scoring_process import Response, ScoringProcess, metric, request_on

DRIVER = """
import numpy
from numpy.typing import NDArray
def init(): pass
def run(x: numpy.ndarray, mode: str = "", request_headers=None) -> NDArray[numpy.float32]:
    assert x.flags.writeable and x.flags.aligned
    if mode == "raise":
        raise RuntimeError("on purpose")
    if mode == "header":
        return request_headers["X-Own"]
    if mode == "memory":
        return "view" if x.base is not None and x.base.base is not None else "copy"
    if mode == "stream":
        return iter(["a", "b"])
    return x
"""

PLAIN = "def init(): pass\ndef run(data): return {'length': len(data)}\n"

ASYNC = """
import asyncio
async def init(): pass
async def run(x: list[float]):
    await asyncio.sleep(0)
    if x == [2]:
        raise ValueError("on purpose")
    return x
"""

RAW = """
from azureml.contrib.services.aml_request import rawhttp
def init(): pass
@rawhttp
def run(request):
    return request.path
"""

KEY = {"authorization": "Bearer own"}
INFER = "/v2/models/m/infer"


@pytest.fixture(scope="module")
def server(serve_module: Any, tmp_path_factory: pytest.TempPathFactory) -> ScoringProcess:
    keys: Path = tmp_path_factory.mktemp("keys")
    (keys / "primaryKey").write_text("own")
    variables = {
        "MODELYARD_KEYS_DIR": str(keys),
        "MODELYARD_MAX_BODY_BYTES": "3000000",
        "MODELYARD_ACCESS_LOG": "true",
        "AML_CORS_ORIGINS": "*",
    }
    started: ScoringProcess = serve_module(DRIVER, variables)
    return started


def infer(server: ScoringProcess, *inputs: dict[str, Any], path: str = INFER, **headers: str) -> Response:
    body = json.dumps({"inputs": [*inputs]}).encode()
    return server.request("POST", path, body, KEY | headers)


def tensor(name: str, datatype: str, *data: Any) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": [len(data)], "data": [*data]}


def test_inference_answers_with_outputs(server: ScoringProcess) -> None:
    response = infer(server, tensor("x", "FP32", 1, 2), **{"x-request-id": "r1"})

    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert response.headers["x-ms-run-function-failed"] == "False"
    assert response.json() == {
        "model_name": "m",
        "id": "r1",
        "outputs": [{"name": "output-0", "datatype": "FP32", "shape": [2], "data": [1.0, 2.0]}],
    }


def test_iterator_is_a_stream_as_for_score(server: ScoringProcess) -> None:
    response = infer(server, tensor("x", "FP32", 1), tensor("mode", "BYTES", "stream"))

    assert (response.status, response.body) == (200, b"ab")
    assert response.headers["transfer-encoding"] == "chunked"


@pytest.mark.parametrize("spaces", range(4))
def test_large_binary_data_is_neither_copied_nor_misaligned(server: ScoringProcess, spaces: int) -> None:
    array = np.arange(300_000, dtype=np.float64)
    declared = {"name": "x", "datatype": "FP64", "shape": [300_000]}
    mode = tensor("mode", "BYTES", "memory")
    inputs = [declared | {"parameters": {"binary_data_size": array.nbytes}}, mode]
    head = json.dumps({"inputs": inputs}).encode() + b" " * spaces
    headers = KEY | {"Inference-Header-Content-Length": str(len(head))}

    response = server.request("POST", INFER, head + array.tobytes(), headers)

    assert response.json()["outputs"][0]["data"] == ["view"]


def test_binary_data_comes_back(server: ScoringProcess) -> None:
    binary = struct.pack("<2e", 1, -0.5)
    declared = {"name": "x", "datatype": "FP16", "shape": [2], "parameters": {"binary_data_size": 4}}
    head = json.dumps({"inputs": [declared], "parameters": {"binary_data_output": True}}).encode()

    response = server.request(
        "POST", INFER, head + binary, KEY | {"Inference-Header-Content-Length": str(len(head))}
    )

    length = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    assert response.body[length:] == binary
    assert json.loads(response.body[:length])["outputs"][0]["parameters"] == {"binary_data_size": 4}


def test_probes_and_server_metadata_need_no_key(server: ScoringProcess) -> None:
    bodies = {
        path: server.request("GET", path).json()
        for path in ("/v2", "/v2/health/live", "/v2/health/ready", "/v2/models/m/ready")
    }

    assert bodies == {
        "/v2": {"name": "modelyard", "version": "v2", "extensions": ["binary_tensor_data"]},
        "/v2/health/live": {"live": True},
        "/v2/health/ready": {"ready": True},
        "/v2/models/m/ready": {"name": "m", "ready": True},
    }


def test_model_metadata_needs_the_key(server: ScoringProcess) -> None:
    refused = server.request("GET", "/v2/models/m")

    assert (refused.status, list(refused.json())) == (401, ["error"])
    assert server.request("GET", "/v2/models/m", None, KEY).json() == {
        "name": "m",
        "platform": "modelyard_python",
        "inputs": [
            {"name": "x", "datatype": "FP64", "shape": [-1]},
            {"name": "mode", "datatype": "BYTES", "shape": [1]},
        ],
        "outputs": [{"name": "output-0", "datatype": "FP32", "shape": [-1]}],
    }


@pytest.mark.parametrize(
    ("method", "path", "headers", "body", "status", "error"),
    [
        ("POST", INFER, {}, b"{}", 401, "Send Authorization: Bearer"),
        ("POST", INFER, KEY, b"x" * 3_000_001, 413, "larger than 3000000 bytes"),
        ("POST", INFER, KEY, b"{", 400, "cannot be decoded as JSON"),
        ("POST", INFER, KEY | {"Inference-Header-Content-Length": "9"}, b"{}", 400, "the body has 2 bytes"),
        ("GET", INFER, KEY, None, 405, "Method not allowed"),
        ("POST", "/v2", KEY, b"", 405, "Method not allowed"),
        ("GET", "/v2/models/m/config", KEY, None, 404, "nothing at this path"),
        ("GET", "/v2/models/m/versions/1", KEY, None, 404, "The model has no versions"),
        ("POST", "/v2/models/m/versions/1/infer", KEY, b"{}", 404, "The model has no versions"),
    ],
)
def test_errors_have_the_form_of_the_protocol(
    server: ScoringProcess,
    method: str,
    path: str,
    headers: dict[str, str],
    body: bytes | None,
    status: int,
    error: str,
) -> None:
    response = server.request(method, path, body, headers)

    assert (response.status, [*response.json()]) == (status, ["error"])
    assert error in response.json()["error"]


def test_chunked_body_that_grows_too_large_is_refused_in_the_form_of_the_protocol(
    server: ScoringProcess,
) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=20)
    connection.request("POST", INFER, iter([b"x" * 1_600_000] * 2), KEY, encode_chunked=True)
    response = connection.getresponse()

    assert (response.status, list(json.loads(response.read()))) == (413, ["error"])
    connection.close()


def test_failed_run_is_a_500_and_counts(server: ScoringProcess) -> None:
    name = 'modelyard_scoring_requests_total{code="500"}'
    before = metric(server, name)

    response = infer(server, tensor("x", "FP32", 1), tensor("mode", "BYTES", "raise"))

    assert response.status == 500
    assert "Check the logs" in response.json()["error"]
    assert "on purpose" in server.log
    assert metric(server, name) == before + 1


def test_run_gets_the_headers_and_the_access_log_the_path(server: ScoringProcess) -> None:
    response = infer(server, tensor("x", "FP32", 1), tensor("mode", "BYTES", "header"), **{"x-own": "value"})

    assert response.json()["outputs"][0]["data"] == ["value"]
    assert any(line["message"] == f"POST {INFER}" for line in server.log_lines())


def test_pages_of_other_origins_may_call_inference(server: ScoringProcess) -> None:
    headers = {"origin": "https://a.example", "access-control-request-method": "POST"}

    response = server.request("OPTIONS", INFER, None, headers)

    assert response.status == 200
    assert response.headers["access-control-allow-origin"] == "https://a.example"


def test_requests_of_one_connection_are_answered_in_turn(server: ScoringProcess) -> None:
    body = json.dumps({"inputs": [tensor("x", "INT8", 1)]}).encode()
    with server.connection() as connection:
        kinds = [
            request_on(connection, "POST", path, body, KEY | {"content-type": "application/json"}).status
            for path in (INFER, "/score", INFER)
        ]

    assert kinds == [200, 400, 200]


def test_plain_driver_with_a_name_and_a_version(serve_module: Any) -> None:
    server = serve_module(PLAIN, {"SERVICE_NAME": "own name", "SERVICE_VERSION": "2"})
    path = "/v2/models/own%20name/versions/2"

    metadata = server.request("GET", path).json()
    response = infer(server, tensor("data", "FP64", 1), path=path + "/infer").json()

    assert (metadata["name"], metadata["versions"], metadata["inputs"]) == ("own name", ["2"], [])
    assert (response["model_name"], response["model_version"]) == ("own name", "2")
    assert response["outputs"] == [
        {"name": "length", "datatype": "INT64", "shape": [1], "data": [len('{"data": [1]}')]}
    ]
    for other, error in (
        ("/v2/models/m", "There is no model 'm'. This server has 'own name'."),
        ("/v2/models/own%20name/versions/1", "There is no version '1'. The model has the version '2'."),
    ):
        for action, method in (("", "GET"), ("/ready", "GET"), ("/infer", "POST")):
            refused = server.request(method, other + action, b"" if method == "POST" else None)
            assert (refused.status, refused.json()) == (404, {"error": error})


def test_async_driver_answers_with_outputs(serve_module: Any) -> None:
    server = serve_module(ASYNC)

    assert infer(server, tensor("x", "FP64", 1)).json()["outputs"][0]["data"] == [1]
    assert infer(server, tensor("x", "FP64", 2)).status == 500
    assert infer(server, tensor("x", "BYTES", "a")).status == 400


def test_driver_of_whole_requests_gets_the_request(serve_module: Any) -> None:
    server = serve_module(RAW)

    assert infer(server, tensor("x", "INT8", 1)).json() == INFER
    assert server.request("GET", "/v2/models/m").json()["inputs"] == []


def test_not_ready_before_init_has_returned(serve: Any) -> None:
    driver = "import time\ndef init(): time.sleep(3600)\ndef run(data): return 1\n"
    server = serve(driver, wait_ready=False)
    while not server.is_listening():
        pass

    responses = {
        path: server.request("GET", path)
        for path in ("/v2/health/live", "/v2/health/ready", "/v2/models/m/ready", "/v2/models/m")
    }

    assert [one.status for one in responses.values()] == [200, 503, 503, 503]
    assert responses["/v2/models/m/ready"].json() == {"error": "Initialising"}
    assert list(infer(server, tensor("x", "INT8", 1)).json()) == ["error"]


def test_packed_tensors_come_and_go(server: ScoringProcess) -> None:
    tensor = {"name": "x", "datatype": "FP32", "shape": [1000], "data": [0.5] * 1000}
    body = gzip.compress(json.dumps({"inputs": [tensor]}).encode())
    packed = {"content-encoding": "gzip", "accept-encoding": "gzip"}
    response = server.request("POST", INFER, body, KEY | packed)
    assert response.headers["content-encoding"] == "gzip"
    assert json.loads(gzip.decompress(response.body))["outputs"][0]["data"] == [0.5] * 1000


def test_invalid_packed_tensors_have_the_protocols_error(server: ScoringProcess) -> None:
    response = server.request("POST", INFER, b"plain", KEY | {"content-encoding": "gzip"})
    assert (response.status, response.json()) == (400, {"error": "The body is not valid gzip."})
