"""From tensors to arguments of run(), from its result to tensors, and the metadata of both."""

import dataclasses
import datetime as dt
import inspect
import json
import struct
import typing
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pytest
from numpy.typing import NDArray

from modelyard.scoring.frames import INFER, Reply
from modelyard.scoring.worker.channel import WorkerRequest
from modelyard.scoring.worker.hints import hint_of
from modelyard.scoring.worker.inference_protocol.protocol import InferenceProtocol
from modelyard.scoring.worker.inputs import InputError
from modelyard.scoring.worker.json_decoder import json_decoder
from modelyard.scoring.worker.json_values import NotJsonError


def protocol_of(run: Callable[..., Any]) -> InferenceProtocol:
    """Return the protocol of a run() with hints; without hints it is a plain driver."""
    hints = {name: hint_of(one) for name, one in typing.get_type_hints(run).items()}
    if hints:
        hints.setdefault("return", hint_of(Any))
    return InferenceProtocol(
        run, [*inspect.signature(run).parameters.values()], hints, json_decoder(), is_decorated=False
    )


def tensor(name: str, datatype: str, *data: Any, shape: list[int] | None = None) -> dict[str, Any]:
    return {"name": name, "datatype": datatype, "shape": shape or [len(data)], "data": [*data]}


def answered(run: Callable[..., Any], *inputs: dict[str, Any], **fields: Any) -> Reply:
    """Return the reply to a request with these inputs and other fields."""
    body = json.dumps({"inputs": [*inputs], **fields}).encode()
    meta = {"path": "/v2/models/m/infer", "headers": {"x-request-id": "r"}}
    request = WorkerRequest(1, 0.0, INFER, json.dumps(meta).encode(), body)
    inference = protocol_of(run).begin(request)
    return inference.reply_of(run(**inference.arguments))


def arguments(run: Callable[..., Any], *inputs: dict[str, Any], **fields: Any) -> dict[str, Any]:
    """Return the arguments that run() gets."""
    found: dict[str, Any] = {}

    def recorded(**values: Any) -> int:
        found.update(values)
        return 1

    recorded.__signature__ = inspect.signature(run)  # type: ignore[attr-defined]
    recorded.__annotations__ = typing.get_type_hints(run)
    answered(recorded, *inputs, **fields)
    return found


def outputs(result: Any, **fields: Any) -> list[tuple[str, str, list[int], Any]]:
    """Return name, datatype, shape and data of each output of a run() with this result."""
    reply = answered(lambda data: result, tensor("x", "INT8", 1), **fields)
    documents = json.loads(reply.body)["outputs"]
    return [(one["name"], one["datatype"], one["shape"], one["data"]) for one in documents]


X = tensor("x", "FP32", 1, 2)


def test_named_inputs_are_the_parameters() -> None:
    def run(rows: NDArray[np.float64], names: list[str], scale: float, on: bool = False) -> None: ...

    found = arguments(
        run,
        tensor("names", "BYTES", "a"),
        tensor("rows", "FP32", 1, 2, shape=[1, 2]),
        tensor("scale", "INT8", 3),
    )

    assert found.pop("rows").tolist() == [[1, 2]]
    assert found == {"names": ["a"], "scale": 3.0, "on": False}


def test_one_input_of_any_name_is_the_only_parameter() -> None:
    def run(rows: np.ndarray) -> None: ...

    array = arguments(run, tensor("other", "INT16", 1, 2))["rows"]

    assert (array.dtype, array.tolist()) == (np.int16, [1, 2])


def test_parameter_of_the_request_is_an_argument() -> None:
    def run(x: list[float], scale: int, unit: str = "a") -> None: ...

    assert arguments(run, X, parameters={"scale": 2, "other": 1}) == {"x": [1, 2], "scale": 2, "unit": "a"}
    with pytest.raises(InputError, match="the parameter 'scale' of the request: should be a whole number"):
        arguments(run, X, parameters={"scale": "2"})


def test_one_element_is_a_value_or_a_json_text() -> None:
    def run(count: int, text: str, fields: dict[str, int]) -> None: ...

    found = arguments(
        run, tensor("count", "FP64", 2), tensor("text", "BYTES", "[1]"), tensor("fields", "BYTES", '{"a": 1}')
    )

    assert found == {"count": 2, "text": "[1]", "fields": {"a": 1}}


@pytest.mark.parametrize(
    ("inputs", "text"),
    [
        ([tensor("data", "FP32", 1, 2, shape=[1, 2])], '{"data": [[1, 2]]}'),
        ([tensor("a", "BYTES", "ä"), tensor("b", "BOOL", True)], '{"a": ["\\u00e4"], "b": [true]}'),
        ([tensor("x", "BYTES", '{"any": "text"}')], '{"any": "text"}'),
        ([tensor("x", "BYTES", "a", "b")], '{"x": ["a", "b"]}'),
    ],
)
def test_plain_driver_gets_text(inputs: list[dict[str, Any]], text: str) -> None:
    assert arguments(lambda data: None, *inputs) == {"data": text}


@pytest.mark.parametrize(
    ("hint", "datatype", "data"),
    [
        (NDArray[np.float32], "INT8", [1, 2]),
        (NDArray[np.int8], "FP64", [1, -128]),
        (NDArray[np.int64], "UINT64", [1, 2**63 - 1]),
        (NDArray[np.bool_], "BOOL", [True, False]),
        (NDArray[np.str_], "BYTES", ["a", "ä"]),
        (np.ndarray | None, "UINT8", [1, 2]),
    ],
)
def test_array_has_the_dtype_of_its_hint(hint: Any, datatype: str, data: list[Any]) -> None:
    def run(x): ...  # type: ignore[no-untyped-def]

    run.__annotations__["x"] = hint
    assert arguments(run, tensor("x", datatype, *data))["x"].tolist() == data


@pytest.mark.parametrize(
    ("hint", "datatype", "data", "message"),
    [
        (NDArray[np.int8], "INT16", [1, 128], "whole numbers that fit into int8"),
        (NDArray[np.uint64], "INT64", [1, -1], "whole numbers that fit into uint64"),
        (NDArray[np.int64], "UINT64", [1, 2**63], "whole numbers that fit into int64"),
        (NDArray[np.int64], "FP32", [0.5], "whole numbers that fit into int64"),
        (NDArray[np.int64], "FP32", [None], "whole numbers that fit into int64"),
        (NDArray[np.float16], "INT32", [70_000], "too large for float16"),
        (NDArray[np.float64], "BOOL", [True], "elements of the type float64"),
        (NDArray[np.float64], "BYTES", ["1"], "elements of the type float64"),
        (NDArray[np.bool_], "INT8", [1], "elements of the type bool"),
        (list[int], "FP64", [0.5], "integer"),
        (int, "INT8", [1, 2], "integer"),
        (str, "INT8", [1], "string"),
        (dict[str, int], "BYTES", ["{"], "dictionary"),
    ],
)
def test_input_that_does_not_fit_its_hint_is_refused(
    hint: Any, datatype: str, data: list[Any], message: str
) -> None:
    def run(x): ...  # type: ignore[no-untyped-def]

    run.__annotations__["x"] = hint
    with pytest.raises(InputError, match=rf"the input 'x': .*{message}"):
        arguments(run, tensor("x", datatype, *data))


def test_inputs_that_run_does_not_have_are_refused() -> None:
    def two(a: list[float], b: list[float]) -> None: ...
    def one(a: list[float]) -> None: ...

    with pytest.raises(InputError, match=r"the input 'x' is no parameter of run.*, which has a, b"):
        arguments(two, X)
    with pytest.raises(InputError, match=r"there is no input 'b', which run.* needs"):
        arguments(two, X | {"name": "a"})
    with pytest.raises(InputError, match=r"there are 2 inputs, but run.* has one parameter, a"):
        arguments(one, X, X | {"name": "y"})
    with pytest.raises(InputError, match="there is no input 'a'"):
        arguments(one)


@dataclasses.dataclass
class Fields:
    array: Any
    text: str


class Pair(NamedTuple):
    left: int
    right: float


MASKED = np.ma.array([1.0, 2.0], mask=[False, True])


@pytest.mark.parametrize(
    ("result", "expected"),
    [
        (np.array([[1, 2]], np.uint8), [("output-0", "UINT8", [1, 2], [1, 2])]),
        (np.array([1.5, np.nan], np.float16), [("output-0", "FP16", [2], [1.5, None])]),
        (np.array([1, 2], ">i4")[::-1], [("output-0", "INT32", [2], [2, 1])]),
        (np.array([[1, 2], [3, 4]]).T, [("output-0", "INT64", [2, 2], [1, 3, 2, 4])]),
        (np.array(["a", "ä"]), [("output-0", "BYTES", [2], ["a", "ä"])]),
        (np.array([b"a", "b"], dtype=object), [("output-0", "BYTES", [2], ["a", "b"])]),
        (np.array([1, None, 0.5], dtype=object), [("output-0", "FP64", [3], [1, None, 0.5])]),
        (np.array(["2026-01-02"], "M8[D]"), [("output-0", "BYTES", [1], ["2026-01-02"])]),
        (np.zeros((0, 3)), [("output-0", "FP64", [0, 3], [])]),
        (np.float32(0.5), [("output-0", "FP32", [1], [0.5])]),
        (MASKED, [("output-0", "FP64", [2], [1, None])]),
        ([[1, 2], [3, 4]], [("output-0", "INT64", [2, 2], [1, 2, 3, 4])]),
        ([1, 2.5, None], [("output-0", "FP64", [3], [1, 2.5, None])]),
        ([2**64 - 1], [("output-0", "UINT64", [1], [2**64 - 1])]),
        ([True], [("output-0", "BOOL", [1], [True])]),
        ([], [("output-0", "FP64", [0], [])]),
        ([np.zeros(2, "f4"), np.ones(2, "f4")], [("output-0", "FP32", [2, 2], [0, 0, 1, 1])]),
        ("text", [("output-0", "BYTES", [1], ["text"])]),
        (3, [("output-0", "INT64", [1], [3])]),
        ((1, "a"), [("output-0", "INT64", [1], [1]), ("output-1", "BYTES", [1], ["a"])]),
        (Pair(1, 0.5), [("left", "INT64", [1], [1]), ("right", "FP64", [1], [0.5])]),
        (
            {"y": np.ones(1), "label": "cat"},
            [("y", "FP64", [1], [1]), ("label", "BYTES", [1], ["cat"])],
        ),
        (
            Fields(np.ones(1, "f4"), "a"),
            [("array", "FP32", [1], [1]), ("text", "BYTES", [1], ["a"])],
        ),
        (dt.date(2026, 1, 2), [("output-0", "BYTES", [1], ["2026-01-02"])]),
        # values that are no tensors: their JSON text
        ([1, [2]], [("output-0", "BYTES", [1], ["[1, [2]]"])]),
        ([[1], [2, 3]], [("output-0", "BYTES", [1], ["[[1], [2, 3]]"])]),
        ([2**70], [("output-0", "BYTES", [1], [f"[{2**70}]"])]),
        ([1, None], [("output-0", "BYTES", [1], ["[1, null]"])]),
        ([2**53 + 1, 0.5], [("output-0", "BYTES", [1], [f"[{2**53 + 1}, 0.5]"])]),
        ([np.zeros(1), np.zeros(2)], [("output-0", "BYTES", [1], ["[[0.0], [0.0, 0.0]]"])]),
        (None, [("output-0", "BYTES", [1], ["null"])]),
        ({}, [("output-0", "BYTES", [1], ["{}"])]),
        ({"a": {"b": 1}}, [("a", "BYTES", [1], ['{"b": 1}'])]),
        ({1: 2}, [("output-0", "BYTES", [1], ['{"1": 2}'])]),
    ],
)
def test_result_is_outputs(result: Any, expected: list[Any]) -> None:
    assert outputs(result) == expected


@pytest.mark.parametrize(
    "result",
    [
        1j,
        np.array([1j]),
        np.array([np.inf]),
        [float("inf")],
        b"\xff",
        np.timedelta64(1, "s"),
        np.ma.array([1, 2], mask=[False, True]),
        {"a": lambda: 1},
    ],
)
def test_result_without_an_exact_form_is_an_error(result: Any) -> None:
    with pytest.raises(NotJsonError):
        outputs(result)


def test_json_text_has_its_content_type() -> None:
    reply = answered(lambda data: [1, None], tensor("x", "INT8", 1))

    assert json.loads(reply.body)["outputs"][0]["parameters"] == {"content_type": "application/json"}


@pytest.mark.parametrize(
    ("result", "binary"),
    [
        (np.array([[1, 2]], ">i2"), b"\1\0\2\0"),
        (np.array([True, False]), b"\1\0"),
        (np.array([np.inf], "f4"), struct.pack("<f", float("inf"))),
        (np.zeros((0, 2)), b""),
        (np.float16(1), struct.pack("<e", 1)),
        ([1.5], struct.pack("<d", 1.5)),
        (["ä", ""], b"\2\0\0\0\xc3\xa4\0\0\0\0"),
        (b"\xff", b"\1\0\0\0\xff"),
    ],
)
def test_binary_output_follows_the_json(result: Any, binary: bytes) -> None:
    reply = answered(lambda data: result, tensor("x", "INT8", 1), parameters={"binary_data_output": True})

    lines = dict(json.loads(reply.meta))
    length = int(lines["Inference-Header-Content-Length"])
    (document,) = json.loads(reply.body[:length])["outputs"]
    assert reply.body[length:] == binary
    assert lines["content-type"] == "application/octet-stream"
    assert document["parameters"] == {"binary_data_size": len(binary)}
    assert "data" not in document


def test_requested_outputs_come_in_their_order_and_form() -> None:
    reply = answered(
        lambda data: {"a": [1], "b": [2.5], "c": "c"},
        tensor("x", "INT8", 1),
        parameters={"binary_data_output": True},
        outputs=[{"name": "c", "parameters": {"binary_data": False}}, {"name": "b"}],
    )

    length = int(dict(json.loads(reply.meta))["Inference-Header-Content-Length"])
    first, second = json.loads(reply.body[:length])["outputs"]
    assert (first["name"], first["data"], second["name"]) == ("c", ["c"], "b")
    assert reply.body[length:] == struct.pack("<d", 2.5)


def test_unknown_output_is_refused() -> None:
    with pytest.raises(InputError, match=r"there is no output 'z': run.* returned a, b"):
        outputs({"a": 1, "b": 2}, outputs=[{"name": "z"}])


def test_response_has_model_version_and_id(monkeypatch: pytest.MonkeyPatch) -> None:
    def head(**fields: Any) -> dict[str, Any]:
        document = json.loads(answered(lambda data: 1, tensor("x", "INT8", 1), **fields).body)
        return {name: value for name, value in document.items() if name != "outputs"}

    assert head(id="7") == {"model_name": "m", "id": "7"}
    monkeypatch.setenv("SERVICE_VERSION", "3")
    assert head() == {"model_name": "m", "id": "r", "model_version": "3"}


def test_metadata_comes_from_hints() -> None:
    def run(
        rows: NDArray[np.float32],
        weights: list[list[int]],
        names: list[str],
        on: bool,
        every: np.ndarray,
    ) -> tuple[float, str]: ...

    def table(rows: list[float]) -> dict[str, int]: ...
    def array(rows: list[float]) -> NDArray[np.int8]: ...

    metadata = protocol_of(run).metadata
    assert [(one["name"], one["datatype"], one["shape"]) for one in metadata["inputs"]] == [
        ("rows", "FP32", [-1]),
        ("weights", "INT64", [-1, -1]),
        ("names", "BYTES", [-1]),
        ("on", "BOOL", [1]),
        ("every", "FP64", [-1]),
    ]
    assert metadata["outputs"] == [
        {"name": "output-0", "datatype": "FP64", "shape": [1]},
        {"name": "output-1", "datatype": "BYTES", "shape": [1]},
    ]
    assert protocol_of(table).metadata["outputs"] == []
    assert protocol_of(array).metadata["outputs"] == [{"name": "output-0", "datatype": "INT8", "shape": [-1]}]
    assert protocol_of(lambda data: None).metadata == {"inputs": [], "outputs": []}
