"""From the body of a request to its tensors. Each error names the input, and is an InputError."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import prod
from struct import unpack_from
from typing import Any, Final

from modelyard.scoring.worker.inference_protocol.datatypes import BOOL, BYTES, DATA_TYPES, DataType
from modelyard.scoring.worker.inference_protocol.tensors import MAX_OBJECTS, Tensor
from modelyard.scoring.worker.inputs import InputError

HEADER_LENGTH: Final = "inference-header-content-length"
"""Request header: bytes of JSON before the binary data."""

MAX_DIMENSIONS: Final = 32
"""The most dimensions of an array in numpy 1."""

MAX_DIMENSION: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class InferenceRequest:
    """A request, with the names of the specification."""

    id: str
    parameters: Mapping[str, Any]
    inputs: Mapping[str, Tensor]
    """Input tensors by name, in the order of the request."""
    outputs: Mapping[str, bool] | None
    """Requested outputs, True for binary data; None for all outputs."""
    binary_output: bool
    """Outputs are binary data if `outputs` does not name them."""


def parsed(
    body: bytes | memoryview, headers: Mapping[str, str], decoded: Callable[[bytes | memoryview], Any]
) -> InferenceRequest:
    """Return the request. Raises InputError with the status 400.

    `headers` have names in lower case. `decoded` decodes JSON as json.loads() does.
    """
    view = memoryview(body)
    length = _header_length(headers.get(HEADER_LENGTH), len(view))
    document = _object(_json(view[:length], decoded), "the body")
    parameters = _parameters(document, "the request")
    binary_output = _flag(parameters, "binary_data_output", "the request")
    outputs = _outputs(document, binary_output)
    inputs = _inputs(document, view[length:])
    request_id = document.get("id", "")
    if not isinstance(request_id, str):
        raise InputError(400, "id should be a text")
    return InferenceRequest(request_id, parameters, inputs, outputs, binary_output)


def _header_length(text: str | None, body_bytes: int) -> int:
    """Return the number of bytes of JSON, all of the body without the header."""
    if text is None:
        return body_bytes
    if not (text.isascii() and text.isdecimal() and len(text) <= 20):
        raise InputError(400, f"{HEADER_LENGTH} should be a whole number")
    length = int(text)
    if length > body_bytes:
        raise InputError(400, f"{HEADER_LENGTH} is {length}, but the body has {body_bytes} bytes")
    if length == 0:
        raise InputError(400, f"{HEADER_LENGTH} is 0, but binary data needs a JSON object before it")
    return length


def _json(view: memoryview, decoded: Callable[[bytes | memoryview], Any]) -> Any:
    if not view:
        raise InputError(400, "The body is empty. It should be a JSON object with inputs.")
    try:
        return decoded(view)
    except (ValueError, RecursionError) as error:
        raise InputError(400, f"The body cannot be decoded as JSON: {error}") from None


def _object(value: Any, place: str) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InputError(400, f"{place} should be a JSON object")
    return value


def _list(value: Any, place: str) -> list[Any]:
    if not isinstance(value, list):
        raise InputError(400, f"{place} should be an array")
    return value


def _parameters(holder: dict[str, Any], place: str) -> dict[str, Any]:
    value = holder.get("parameters")
    return {} if value is None else _object(value, f"parameters of {place}")


def _flag(parameters: dict[str, Any], name: str, place: str, default: bool = False) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InputError(400, f"{name} of {place} should be true or false")
    return value


def _name(holder: dict[str, Any], place: str) -> str:
    name = holder.get("name")
    if not isinstance(name, str) or not name:
        raise InputError(400, f"{place} should have a name")
    return name


def _outputs(document: dict[str, Any], binary_output: bool) -> dict[str, bool] | None:
    requested = document.get("outputs")
    if requested is None or requested == []:
        return None
    outputs: dict[str, bool] = {}
    for one in _list(requested, "outputs"):
        output = _object(one, "each of the outputs")
        name = _name(output, "each of the outputs")
        if name in outputs:
            raise InputError(400, f"the output {name!r} is requested twice")
        place = f"the output {name!r}"
        parameters = _parameters(output, place)
        for unsupported in ("classification", "shared_memory_region"):
            if unsupported in parameters:
                raise InputError(400, f"{place}: the parameter {unsupported} is not supported")
        outputs[name] = _flag(parameters, "binary_data", place, binary_output)
    return outputs


def _inputs(document: dict[str, Any], binary: memoryview) -> dict[str, Tensor]:
    inputs: dict[str, Tensor] = {}
    position = 0
    for one in _list(document.get("inputs"), "inputs"):
        declared = _object(one, "each of the inputs")
        name = _name(declared, "each of the inputs")
        place = f"the input {name!r}"
        if name in inputs:
            raise InputError(400, f"{place} is there twice")
        shape, datatype = _shape(declared, place), _datatype(declared, place)
        size = _parameters(declared, place).get("binary_data_size")
        if size is None:
            data: memoryview | list[Any] = _elements(declared, shape, datatype, place)
        else:
            _check_binary_size(size, len(binary) - position, declared, place)
            data = _binary_data(binary[position : position + size], shape, datatype, place)
            position += size
        inputs[name] = Tensor(name, datatype, shape, data)
    if position != len(binary):
        raise InputError(400, f"{len(binary) - position} bytes follow the binary data of the last input")
    return inputs


def _shape(declared: dict[str, Any], place: str) -> tuple[int, ...]:
    shape = _list(declared.get("shape"), f"shape of {place}")
    if len(shape) > MAX_DIMENSIONS:
        raise InputError(400, f"shape of {place} should have at most {MAX_DIMENSIONS} dimensions")
    if any(type(one) is not int or not 0 <= one <= MAX_DIMENSION for one in shape):
        raise InputError(400, f"shape of {place} should have whole numbers from 0 to 2^63-1")
    return tuple(shape)


def _datatype(declared: dict[str, Any], place: str) -> DataType:
    name = declared.get("datatype")
    datatype = DATA_TYPES.get(name) if isinstance(name, str) else None
    if datatype is None:
        raise InputError(400, f"datatype of {place} should be one of {', '.join(DATA_TYPES)}")
    return datatype


def _check_binary_size(size: Any, rest: int, declared: dict[str, Any], place: str) -> None:
    if type(size) is not int or size < 0:
        raise InputError(400, f"binary_data_size of {place} should be a whole number")
    if size > rest:
        raise InputError(400, f"binary_data_size of {place} is {size}, but {rest} bytes of the body follow")
    if declared.get("data") is not None:
        raise InputError(400, f"{place} has both data and binary_data_size")


def _binary_data(
    view: memoryview, shape: tuple[int, ...], datatype: DataType, place: str
) -> memoryview | list[Any]:
    if datatype is BYTES:
        return _byte_strings(view, prod(shape), place)
    if prod(shape) * datatype.size != len(view):
        raise InputError(
            400,
            f"{place} has {len(view)} bytes of binary data, but {prod(shape)} elements of {datatype.name}"
            f" (shape {list(shape)}) have {prod(shape) * datatype.size}",
        )
    if datatype is BOOL and bytes(view).translate(None, b"\0\1"):
        raise InputError(400, f"{place} should have bytes 0 and 1 for BOOL")
    return view


def _byte_strings(view: memoryview, count: int, place: str) -> list[bytes]:
    """Return the elements of BYTES: each has its length, 4 bytes, before it."""
    if count > MAX_OBJECTS:
        raise InputError(400, f"{place} has more than {MAX_OBJECTS} elements of BYTES")
    found: list[bytes] = []
    position = 0
    while position + 4 <= len(view) and len(found) < count:
        (length,) = unpack_from("<I", view, position)
        position += 4
        found.append(bytes(view[position : position + length]))
        position += length
    if len(found) != count or position != len(view):
        raise InputError(
            400, f"{place}: {len(view)} bytes of binary data do not have {count} elements of BYTES"
        )
    return found


def _elements(declared: dict[str, Any], shape: tuple[int, ...], datatype: DataType, place: str) -> list[Any]:
    """Return the JSON values of an input, which may be nested by its shape, or flat."""
    if declared.get("data") is None:
        raise InputError(400, f"{place} should have data, or the parameter binary_data_size")
    elements = _flat(_list(declared["data"], f"data of {place}"), shape)
    if elements is None or len(elements) != prod(shape):
        count = "" if elements is None else f" with {len(elements)} elements"
        raise InputError(
            400, f"{place} has data{count} that do not fit the shape {list(shape)}: {prod(shape)} elements"
        )
    _check_elements(elements, datatype, place)
    return elements


def _flat(data: list[Any], shape: tuple[int, ...]) -> list[Any] | None:
    """Return the elements of flat or nested data; None if nested lists do not match the shape."""
    if not any(isinstance(one, list) for one in data):
        return data
    if len(shape) < 2 or len(data) != shape[0]:
        return None
    for length in shape[1:]:
        if not all(isinstance(one, list) and len(one) == length for one in data):
            return None
        data = [one for row in data for one in row]
    return data


_NUMBERS: Final = frozenset({int, float})


def _check_elements(elements: list[Any], datatype: DataType, place: str) -> None:
    """Raise InputError for elements of another type, or out of the range of the data type."""
    found = set(map(type, elements))
    if datatype is BYTES:
        if not found <= {str}:
            raise InputError(400, f"data of {place} should be texts")
    elif datatype is BOOL:
        if not found <= {bool}:
            raise InputError(400, f"data of {place} should be true and false")
    elif datatype.is_float:
        if not found <= {int, float, type(None)}:  # null is NaN, as in results
            raise InputError(400, f"data of {place} should be numbers")
    else:
        if not found <= _NUMBERS or not (float not in found or all(map(_is_whole, elements))):
            raise InputError(400, f"data of {place} should be whole numbers")
        least, largest = datatype.bounds
        if elements and not (least <= min(elements) and max(elements) <= largest):
            raise InputError(400, f"data of {place} should be numbers from {least} to {largest}")
        if float in found:
            elements[:] = map(int, elements)


def _is_whole(number: float) -> bool:
    return isinstance(number, int) or number.is_integer()
