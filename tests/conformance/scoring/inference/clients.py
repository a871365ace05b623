"""Checks with the real clients: `clients.py KEY PORTS`. PORTS is JSON: the ports of the servers by name.

The last line of the output is JSON: a problem for each check, empty if it passed.
"""

import asyncio
import http.client
import itertools
import json
import sys
import traceback

import numpy as np
import tritonclient.http as triton
from kserve import InferenceRESTClient, InferInput, InferRequest, RESTConfig
from kserve.protocol.infer_type import RequestedOutput
from tritonclient.utils import InferenceServerException, np_to_triton_dtype

KEY = sys.argv[1]
PORTS = json.loads(sys.argv[2])

TYPES = {
    "BOOL": bool,
    "UINT8": "u1",
    "UINT16": "u2",
    "UINT32": "u4",
    "UINT64": "u8",
    "INT8": "i1",
    "INT16": "i2",
    "INT32": "i4",
    "INT64": "i8",
    "FP16": "f2",
    "FP32": "f4",
    "FP64": "f8",
}
ARRAYS = {name: np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype) for name, dtype in TYPES.items()}
BYTES = np.array([b"a", b"", "ä€".encode()], dtype=object)


def headers():
    """Return new headers: tritonclient adds its own to them."""
    return {"authorization": f"Bearer {KEY}"}


def triton_infer(server, arrays, binary=True, outputs=None, **options):
    """Send arrays with Triton's client."""
    inputs = []
    for name, array in arrays.items():
        one = triton.InferInput(name, array.shape, np_to_triton_dtype(array.dtype))
        inputs.append(one.set_data_from_numpy(array, binary_data=binary))
    client = triton.InferenceServerClient(f"127.0.0.1:{PORTS[server]}")
    try:
        return client.infer("m", inputs, outputs=outputs, headers=headers(), **options)
    finally:
        client.close()


def kserve_infer(server, arrays, binary=True, outputs=None):
    """Send arrays with kserve's client. Return the arrays by name."""

    async def infer():
        inputs = []
        for name, array in arrays.items():
            one = InferInput(name, list(array.shape), np_to_triton_dtype(array.dtype))
            one.set_data_from_numpy(array, binary_data=binary)
            inputs.append(one)
        parameters = None if outputs else {"binary_data_output": binary}
        request = InferRequest("m", inputs, parameters=parameters, request_outputs=outputs)
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        return await client.infer(base(server), request, "m", headers())

    response = asyncio.run(infer())
    return {one.name: one.as_numpy() for one in response.outputs}


def base(server):
    return f"http://127.0.0.1:{PORTS[server]}"


def same(left, right):
    assert left is not None
    assert left.dtype == right.dtype, (left.dtype, right.dtype)
    assert left.shape == right.shape, (left.shape, right.shape)
    assert np.array_equal(left, right), (left, right)


def triton_reads_health_and_metadata():
    client = triton.InferenceServerClient(f"127.0.0.1:{PORTS['numpy_sample']}")
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("m")
    assert not client.is_model_ready("m", "7")
    assert "binary_tensor_data" in client.get_server_metadata()["extensions"]
    assert client.get_model_metadata("m", headers=headers()) == {
        "name": "m",
        "platform": "modelyard_python",
        "inputs": [
            {"name": "rows", "datatype": "FP32", "shape": [-1, 3]},
            {"name": "times", "datatype": "INT64", "shape": [1]},
        ],
        "outputs": [{"name": "output-0", "datatype": "FP64", "shape": [-1]}],
    }
    client.close()


def triton_sends_and_receives_each_type_as_binary_data():
    for array in [*ARRAYS.values(), BYTES]:
        same(triton_infer("arrays", {"x": array}).as_numpy("output-0"), array)


def triton_sends_and_receives_each_type_as_json():
    outputs = [triton.InferRequestedOutput("output-0", binary_data=False)]
    for name, array in [*ARRAYS.items(), ("BYTES", BYTES)]:
        is_binary = name == "FP16"  # the client has no FP16 as JSON
        found = triton_infer("arrays", {"x": array}, is_binary, outputs).as_numpy("output-0")
        if name == "BYTES":  # texts in JSON
            found = np.array([one.encode() for one in found], dtype=object)
        same(found, array)


def triton_selects_outputs():
    arrays = {"x": ARRAYS["FP32"], "form": np.array(["dict"], dtype=object), "scale": np.array([2.0])}
    outputs = [
        triton.InferRequestedOutput("scale", binary_data=False),
        triton.InferRequestedOutput("x", binary_data=True),
    ]
    result = triton_infer("arrays", arrays, outputs=outputs, request_id="77")
    assert result.get_response()["id"] == "77"
    assert [one["name"] for one in result.get_response()["outputs"]] == ["scale", "x"]
    same(result.as_numpy("x"), ARRAYS["FP32"])
    same(result.as_numpy("scale"), np.array([2.0]))


def triton_sends_parameters_of_the_request():
    found = triton_infer("arrays", {"x": ARRAYS["FP64"]}, parameters={"scale": 3}).as_numpy("output-0")
    same(found, 3 * ARRAYS["FP64"])


def triton_compresses_requests_and_responses():
    array = np.zeros((100, 1000), dtype="f4")
    for binary in (True, False):
        outputs = [triton.InferRequestedOutput("output-0", binary_data=binary)]
        for algorithm in ("gzip", "deflate"):
            result = triton_infer(
                "arrays",
                {"x": array},
                binary,
                outputs,
                request_compression_algorithm=algorithm,
                response_compression_algorithm="gzip",
            )
            same(result.as_numpy("output-0"), array)


def triton_sends_many_requests_at_once():
    client = triton.InferenceServerClient(f"127.0.0.1:{PORTS['arrays']}", concurrency=8)
    arrays = [np.full((50, 1000), number, dtype="i4") for number in range(24)]
    running = []
    for array in arrays:
        one = triton.InferInput("x", array.shape, "INT32").set_data_from_numpy(array)
        running.append(client.async_infer("m", [one], headers=headers()))
    for one, array in zip(running, arrays, strict=True):
        same(one.get_result().as_numpy("output-0"), array)
    client.close()


def triton_reads_errors():
    for arrays, status, text in (
        ({"y": ARRAYS["INT8"]}, "400", "the input 'y' is no parameter of run()"),
        ({"x": ARRAYS["INT8"], "form": np.array(["raise"], dtype=object)}, "500", "Check the logs"),
    ):
        try:
            triton_infer("arrays", arrays)
        except InferenceServerException as error:
            assert error.status() == status, error
            assert text in error.message(), error
        else:
            raise AssertionError("no error")


def triton_sends_rows_and_columns_of_tables():
    rows = np.array([[1.5, 2.0], [3.0, 4.0]])
    names = np.array(["a", "b"], dtype=object)
    result = triton_infer("table", {"frame": rows})
    same(result.as_numpy("1"), rows[:, 1])
    result = triton_infer("table", {"name": names, "age": np.array([[30], [40]])})
    same(result.as_numpy("age"), np.array([30, 40]))
    assert result.as_numpy("text").tolist() == [b"a!", b"b!"]
    result = triton_infer("pandas_sample", {"name": names, "age": np.array([30.0, 40.0], dtype="f4")})
    same(result.as_numpy("age"), np.array([31, 41]))
    assert result.as_numpy("name").tolist() == [b"a", b"b"]
    for arrays, text in (
        ({"age": np.array([1])}, "should have the columns age, name"),
        ({"age": np.array([0.5]), "name": names[:1]}, "the column age should be whole numbers"),
        ({"age": np.array([1]), "name": names}, "the same length"),
    ):
        try:
            triton_infer("pandas_sample", arrays)
        except InferenceServerException as error:
            assert error.status() == "400", error
            assert text in error.message(), error
        else:
            raise AssertionError("no error")


def triton_sends_arrays_of_a_sample():
    rows = np.array([[1, 2, 3], [4, 5, 6]])
    same(triton_infer("numpy_sample", {"rows": rows}).as_numpy("output-0"), np.array([6.0, 15.0]))
    result = triton_infer("numpy_sample", {"rows": rows, "times": np.array([2])})
    same(result.as_numpy("output-0"), np.array([12.0, 30.0]))
    try:
        triton_infer("numpy_sample", {"rows": rows[:, :2]})
    except InferenceServerException as error:
        assert "should have the shape [n, 3], not [2, 2]" in error.message(), error
    else:
        raise AssertionError("no error")


def triton_calls_a_plain_driver():
    result = triton_infer("plain", {"data": np.array([[1, 2], [3, 4]])})
    same(result.as_numpy("sums"), np.array([3, 7]))
    assert result.as_numpy("model").tolist() == [b"plain"]


def kserve_reads_health():
    async def read():
        client = InferenceRESTClient(RESTConfig(protocol="v2"))
        assert await client.is_server_live(base("arrays"))
        assert await client.is_server_ready(base("arrays"))
        assert await client.is_model_ready(base("arrays"), "m")

    asyncio.run(read())


def kserve_sends_and_receives_each_type():
    for binary in (True, False):
        for name, array in [*ARRAYS.items(), ("BYTES", BYTES)]:
            if name == "FP16" and not binary:
                continue  # the client has no FP16 as JSON
            found = kserve_infer("arrays", {"x": array}, binary)["output-0"]
            if name == "BYTES":
                found = np.array(
                    [str(one, "utf-8").encode() if isinstance(one, bytes) else one.encode() for one in found],
                    dtype=object,
                )
            same(found, array)


def kserve_selects_outputs():
    outputs = [RequestedOutput("scale", {"binary_data": True})]
    arrays = {"x": ARRAYS["INT8"], "form": np.array(["dict"], dtype=object)}
    found = kserve_infer("arrays", arrays, outputs=outputs)
    assert list(found) == ["scale"]
    same(found["scale"], np.array([1.0]))


def kserves_server_answers_the_same():
    """Send raw requests to both servers. JSON and binary data must be the same."""
    choices = ({}, {"parameters": {"binary_data_output": True}}, requested(True), requested(False))
    for name, array in ARRAYS.items():
        for binary_input, outputs in itertools.product((True, False), choices):
            is_json = not binary_input or outputs in ({}, requested(False))
            if name == "FP16" and is_json:
                continue  # kserve has no FP16 as JSON
            document, binary = request_of(name, array, binary_input)
            compare(document | outputs | {"id": "5"}, binary)


def requested(binary):
    return {"outputs": [{"name": "output-0", "parameters": {"binary_data": binary}}]}


def request_of(name, array, is_binary):
    declared = {"name": "x", "shape": list(array.shape), "datatype": name}
    if not is_binary:
        return {"inputs": [declared | {"data": array.ravel().tolist()}]}, b""
    return {"inputs": [declared | {"parameters": {"binary_data_size": array.nbytes}}]}, array.tobytes()


def compare(document, binary):
    ours, theirs = (raw(server, document, binary) for server in ("arrays", "kserve"))
    assert ours == theirs, (document, ours, theirs)


def raw(server, document, binary):
    """Return the parts of a response that both servers must have in common."""
    text = json.dumps(document).encode()
    sent = headers() | {"content-type": "application/octet-stream" if binary else "application/json"}
    if binary:
        sent["inference-header-content-length"] = str(len(text))
    connection = http.client.HTTPConnection("127.0.0.1", PORTS[server], timeout=20)
    connection.request("POST", "/v2/models/m/infer", text + binary, sent)
    response = connection.getresponse()
    body = response.read()
    connection.close()
    assert response.status == 200, body
    length = int(response.headers.get("inference-header-content-length", len(body)))
    answer = json.loads(body[:length])
    outputs = [{name: value for name, value in one.items() if value is not None} for one in answer["outputs"]]
    return answer["id"], answer["model_name"], outputs, body[length:]


CHECKS = (
    triton_reads_health_and_metadata,
    triton_sends_and_receives_each_type_as_binary_data,
    triton_sends_and_receives_each_type_as_json,
    triton_selects_outputs,
    triton_sends_parameters_of_the_request,
    triton_compresses_requests_and_responses,
    triton_sends_many_requests_at_once,
    triton_reads_errors,
    triton_sends_rows_and_columns_of_tables,
    triton_sends_arrays_of_a_sample,
    triton_calls_a_plain_driver,
    kserve_reads_health,
    kserve_sends_and_receives_each_type,
    kserve_selects_outputs,
    kserves_server_answers_the_same,
)


def problem_of(check):
    try:
        check()
    except Exception:
        return traceback.format_exc()[-1500:]
    return ""


if __name__ == "__main__":
    print(json.dumps({check.__name__.replace("_", " "): problem_of(check) for check in CHECKS}))
