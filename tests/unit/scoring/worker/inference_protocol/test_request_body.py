"""Bodies of inference requests: their tensors, and the refusal of each wrong part."""

import json
import struct
from typing import Any

import numpy as np
import pytest

from modelyard.scoring.worker.inference_protocol.datatypes import DATA_TYPES
from modelyard.scoring.worker.inference_protocol.request_body import InferenceRequest, parsed
from modelyard.scoring.worker.inputs import InputError
from modelyard.scoring.worker.json_decoder import json_decoder

decoded = json_decoder()


def request_of(document: Any, binary: bytes = b"", length: str | None = None) -> InferenceRequest:
    """Parse a body of JSON and binary data; `length` replaces the length of the JSON in the header."""
    text = json.dumps(document).encode()
    headers = {"inference-header-content-length": length or str(len(text))} if binary or length else {}
    return parsed(text + binary, headers, decoded)


def one_input(**fields: Any) -> dict[str, Any]:
    """Return a request with one input, x, of two FP32; None removes a field."""
    declared = {"name": "x", "shape": [2], "datatype": "FP32", "data": [1, 2], **fields}
    return {"inputs": [{name: value for name, value in declared.items() if value is not None}]}


def binary_input(size: Any, **fields: Any) -> dict[str, Any]:
    return one_input(data=None, parameters={"binary_data_size": size}, **fields)


@pytest.mark.parametrize("name", [name for name in DATA_TYPES if name != "BYTES"])
def test_binary_data_of_each_type_is_the_array(name: str) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype=DATA_TYPES[name].dtype)
    document = binary_input(array.nbytes, shape=[2, 3], datatype=name)

    tensor = request_of(document, array.tobytes()).inputs["x"]

    assert tensor.array(np).dtype == array.dtype
    assert tensor.array(np).tolist() == array.tolist() == tensor.nested()


@pytest.mark.parametrize("name", [name for name in DATA_TYPES if name != "BYTES"])
@pytest.mark.parametrize("is_flat", [True, False])
def test_json_data_of_each_type_is_the_array(name: str, is_flat: bool) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]], dtype=DATA_TYPES[name].dtype)
    data = array.ravel().tolist() if is_flat else array.tolist()

    tensor = request_of(one_input(shape=[2, 3], datatype=name, data=data)).inputs["x"]

    assert tensor.array(np).dtype == array.dtype
    assert tensor.array(np).tolist() == array.tolist() == tensor.nested()


def test_byte_strings_are_read_with_their_lengths() -> None:
    binary = b"\3\0\0\0a\xffb\0\0\0\0\1\0\0\0\0"

    tensor = request_of(binary_input(len(binary), shape=[3], datatype="BYTES"), binary).inputs["x"]

    assert tensor.array(np).tolist() == [b"a\xffb", b"", b"\0"]
    with pytest.raises(ValueError, match="not UTF-8"):
        tensor.nested()


def test_texts_are_the_elements_of_bytes() -> None:
    tensor = request_of(one_input(datatype="BYTES", data=["ä", ""])).inputs["x"]

    assert (tensor.nested(), tensor.array(np).tolist()) == (["ä", ""], ["ä".encode(), b""])


def test_several_inputs_take_their_binary_data_in_order() -> None:
    first, second = binary_input(2, shape=[1], datatype="INT16"), binary_input(1, shape=[], datatype="BOOL")
    second["inputs"][0]["name"] = "y"

    inputs = request_of({"inputs": first["inputs"] + second["inputs"]}, b"\1\1\1").inputs

    assert (inputs["x"].nested(), inputs["y"].nested()) == ([257], True)


def test_null_is_nan_and_whole_floats_are_integers() -> None:
    floats = request_of(one_input(data=[None, 1])).inputs["x"].array(np)
    integers = request_of(one_input(datatype="UINT64", data=[1.0, 2**64 - 1])).inputs["x"].array(np)

    assert np.isnan(floats[0])
    assert integers.tolist() == [1, 2**64 - 1]


def test_array_may_be_written_and_is_aligned() -> None:
    body = b" " + struct.pack("<2f", 1, 2)
    tensor = request_of(binary_input(8), body[1:]).inputs["x"]

    array = tensor.array(np)
    array += 1

    assert (array.tolist(), array.flags.aligned) == ([2, 3], True)


def test_aligned_data_in_a_buffer_is_not_copied() -> None:
    text = json.dumps(binary_input(16, shape=[2], datatype="FP64")).encode()
    buffer = np.zeros(len(text) + -len(text) % 8 + 16, dtype=np.uint8)
    start = -len(text) % 8
    buffer[start : start + len(text)] = np.frombuffer(text, dtype=np.uint8)

    request = parsed(memoryview(buffer)[start:], {"inference-header-content-length": str(len(text))}, decoded)

    assert np.shares_memory(request.inputs["x"].array(np), buffer)


def test_outputs_and_parameters_of_a_request() -> None:
    document = one_input() | {
        "id": "7",
        "parameters": {"binary_data_output": True, "scale": 2},
        "outputs": [{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}],
    }

    request = request_of(document)

    assert (request.id, request.parameters["scale"]) == ("7", 2)
    assert request.outputs == {"a": True, "b": False}


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ([], "the body should be a JSON object"),
        ({}, "inputs should be an array"),
        ({"inputs": [1]}, "each of the inputs should be a JSON object"),
        (one_input(name=""), "each of the inputs should have a name"),
        ({"inputs": one_input()["inputs"] * 2}, "'x' is there twice"),
        (one_input() | {"id": 7}, "id should be a text"),
        (one_input() | {"parameters": []}, "parameters of the request should be a JSON object"),
        (one_input() | {"parameters": {"binary_data_output": 1}}, "should be true or false"),
        (one_input() | {"outputs": [{"name": "a"}] * 2}, "'a' is requested twice"),
        (one_input() | {"outputs": [{}]}, "each of the outputs should have a name"),
        (
            one_input() | {"outputs": [{"name": "a", "parameters": {"classification": 3}}]},
            "the output 'a': the parameter classification is not supported",
        ),
        (one_input(shape=None), "shape of the input 'x' should be an array"),
        (one_input(shape=[-2]), "whole numbers from 0 to"),
        (one_input(shape=[True]), "whole numbers from 0 to"),
        (one_input(shape=[2.0]), "whole numbers from 0 to"),
        (one_input(shape=[2**63]), "whole numbers from 0 to"),
        (one_input(shape=[2**40] * 9), "fit the shape"),
        (one_input(shape=[1] * 33), "at most 32 dimensions"),
        (one_input(datatype="BF16"), "datatype of the input 'x' should be one of BOOL, "),
        (one_input(datatype=[]), "datatype of the input 'x' should be one of BOOL, "),
        (one_input(data=None), "the input 'x' should have data"),
        (one_input(data=3), "data of the input 'x' should be an array"),
        (one_input(data=[1]), "'x' has data with 1 elements that do not fit the shape"),
        (one_input(data=[1, [2]]), "do not fit the shape"),
        (one_input(data=[[1], [2]]), "do not fit the shape"),
        (one_input(shape=[2, 2], data=[[1], [2, 3, 4]]), "do not fit the shape"),
        (one_input(data=["1", "2"]), "data of the input 'x' should be numbers"),
        (one_input(data=[True, 1]), "data of the input 'x' should be numbers"),
        (one_input(datatype="BOOL"), "data of the input 'x' should be true and false"),
        (one_input(datatype="BYTES"), "data of the input 'x' should be texts"),
        (one_input(datatype="INT8", data=[1, 128]), "numbers from -128 to 127"),
        (one_input(datatype="UINT64", data=[1, -1]), "numbers from 0 to 18446744073709551615"),
        (one_input(datatype="INT8", data=[1, 1.5]), "should be whole numbers"),
        (one_input(datatype="INT8", data=[1, float("nan")]), "should be whole numbers"),
        (one_input(datatype="INT8", data=[1, None]), "should be whole numbers"),
        (binary_input(8), "binary_data_size of the input 'x' is 8, but 0 bytes of the body follow"),
        (binary_input(-1), "binary_data_size of the input 'x' should be a whole number"),
        (binary_input(True), "binary_data_size of the input 'x' should be a whole number"),
        (binary_input(2**70), "but 0 bytes of the body follow"),
        (one_input(parameters={"binary_data_size": 0}), "has both data and binary_data_size"),
    ],
)
def test_wrong_document_is_refused_by_name(document: Any, message: str) -> None:
    with pytest.raises(InputError, match=message.replace("[", r"\[")) as refused:
        request_of(document)
    assert refused.value.status == 400


@pytest.mark.parametrize(
    ("fields", "binary", "message"),
    [
        ({"shape": [3]}, b"12345678", "'x' has 8 bytes of binary data, but 3 elements of FP32"),
        ({"shape": [2**62, 2**62]}, b"12345678", "'x' has 8 bytes of binary data"),
        ({"datatype": "BOOL", "shape": [8]}, b"1234567\2", "bytes 0 and 1 for BOOL"),
        ({"datatype": "BYTES", "shape": [1]}, b"\xff\xff\xff\xffabcd", "do not have 1 elements of BYTES"),
        ({"datatype": "BYTES", "shape": [3]}, b"\0\0\0\0\0\0\0\0", "do not have 3 elements of BYTES"),
        ({"datatype": "BYTES", "shape": [1]}, b"\0\0\0\0\0\0\0\0", "do not have 1 elements of BYTES"),
        ({"datatype": "BYTES", "shape": [2**62]}, b"\0\0\0\0\0\0\0\0", "has more than"),
    ],
)
def test_wrong_binary_data_is_refused_by_name(fields: dict[str, Any], binary: bytes, message: str) -> None:
    with pytest.raises(InputError, match=message):
        request_of(binary_input(len(binary), **fields), binary)


def test_bytes_after_the_last_input_are_refused() -> None:
    with pytest.raises(InputError, match="3 bytes follow the binary data"):
        request_of(binary_input(8), b"12345678abc")


@pytest.mark.parametrize(
    ("length", "message"),
    [
        ("10000", "is 10000, but the body has"),
        ("9" * 5000, "should be a whole number"),
        ("-1", "should be a whole number"),
        ("1, 1", "should be a whole number"),
        ("٣", "should be a whole number"),
        ("0", "is 0, but binary data needs"),
        ("5", "cannot be decoded as JSON"),
    ],
)
def test_wrong_header_length_is_refused(length: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        request_of(one_input(), length=length)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff", b"[" * 100_000])
def test_body_without_json_is_refused(body: bytes) -> None:
    with pytest.raises(InputError):
        parsed(body, {}, decoded)


def test_number_that_is_too_large_for_its_type_is_refused() -> None:
    tensor = request_of(one_input(data=[1e300, 1])).inputs["x"]

    with pytest.raises(ValueError, match="too large for float32"):
        tensor.array(np)


@pytest.mark.parametrize("shape", [[2**40, 0], [2**40, 0, 1], [1, 2**23 + 1, 0, 2**40]])
def test_lists_have_a_limit(shape: list[int]) -> None:
    tensor = request_of(one_input(shape=shape, data=[])).inputs["x"]

    with pytest.raises(ValueError, match="has more than 8388608 elements"):
        tensor.nested()
