"""From tensors to the arguments of run(), one class for each kind of parameter.

The methods that convert raise ValueError, TypeError or OverflowError, with a message that follows the name of
the input.
"""

import inspect
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Final

from modelyard.scoring.worker.hints import Hint, Schema
from modelyard.scoring.worker.inference_protocol import samples
from modelyard.scoring.worker.inference_protocol.datatypes import BYTES
from modelyard.scoring.worker.inference_protocol.request_body import InferenceRequest
from modelyard.scoring.worker.inference_protocol.tensors import Tensor, cast_array
from modelyard.scoring.worker.inputs import InputError

_CONVERSION_ERRORS: Final = (ValueError, TypeError, OverflowError, RecursionError)


class TensorParameter:
    """A parameter of run() that takes JSON values: lists, numbers, texts."""

    def __init__(self, parameter: inspect.Parameter, schema: Schema, convert: Callable[[Any], Any]) -> None:
        self.name = parameter.name
        self.default = parameter.default
        self._schema = schema
        self.convert_value = convert
        """Converts a JSON value to the type of the parameter."""

    def of_tensor(self, tensor: Tensor) -> Any:
        """Return the argument from one input.

        A tensor with one element may stand for a number or a text, and a text for any JSON value.
        """
        value = tensor.nested()
        try:
            return self.convert_value(value)
        except _CONVERSION_ERRORS as error:
            reason = error
        if tensor.size == 1:
            for candidate in _values_of_element(tensor.elements()[0]):
                try:
                    return self.convert_value(candidate)
                except _CONVERSION_ERRORS as error:
                    reason = reason if self._schema.get("type") == "array" else error
        raise reason

    def of_inputs(self, inputs: Mapping[str, Tensor]) -> Any:
        """Return the argument from all inputs: run() has no other parameter."""
        if len(inputs) > 1:
            raise InputError(400, f"there are {len(inputs)} inputs, but run() has one parameter, {self.name}")
        return converted(self, next(iter(inputs.values())))


class TextParameter(TensorParameter):
    """The parameter of a plain driver, which gets text: an object of names and nested arrays.

    One input with one element of BYTES is the text.
    """

    def of_inputs(self, inputs: Mapping[str, Tensor]) -> str:
        """Return the text."""
        only = next(iter(inputs.values()))
        if len(inputs) == 1 and only.datatype is BYTES and only.size == 1:
            return str(_checked(only, only.elements)[0])
        return json.dumps({name: _checked(one, one.nested) for name, one in inputs.items()})


class ArrayParameter(TensorParameter):
    """A parameter that takes a numpy array, of one dtype if it has any."""

    def __init__(
        self,
        parameter: inspect.Parameter,
        convert: Callable[[Any], Any],
        dtype: Any = None,
        shape: tuple[int, ...] | None = None,
    ) -> None:
        super().__init__(parameter, {}, convert)
        self._numpy = sys.modules["numpy"]
        self._dtype = dtype
        self._shape = shape
        """Lengths of the dimensions after the first; None for any shape."""

    def of_tensor(self, tensor: Tensor) -> Any:
        """Return the array."""
        if self._shape is not None and tensor.shape[1:] != self._shape:
            expected = ", ".join(map(str, ("n", *self._shape)))
            raise ValueError(f"should have the shape [{expected}], not {list(tensor.shape)}")
        array = tensor.array(self._numpy)
        return array if self._dtype is None else cast_array(array, self._dtype, self._numpy)


class TableParameter(TensorParameter):
    """A parameter that takes a pandas.DataFrame: one input has rows, or each input is a column."""

    def __init__(
        self, parameter: inspect.Parameter, convert: Callable[[Any], Any], sample: Any = None
    ) -> None:
        super().__init__(parameter, {}, convert)
        self._numpy, self._pandas = sys.modules["numpy"], sys.modules["pandas"]
        self._sample = sample
        """A DataFrame whose columns and dtypes are required; None for any columns."""

    def of_tensor(self, tensor: Tensor) -> Any:
        """Return the table from an input with rows."""
        if len(tensor.shape) != 2:
            raise ValueError(f"should have two dimensions, rows and columns, not {list(tensor.shape)}")
        frame = self._pandas.DataFrame(_with_texts(tensor, self._numpy))
        if self._sample is not None and len(self._sample.columns) == tensor.shape[1]:
            frame.columns = self._sample.columns
        return self._as_sample(frame)

    def of_inputs(self, inputs: Mapping[str, Tensor]) -> Any:
        """Return the table from an input with rows, or from all inputs as columns."""
        only = next(iter(inputs.values()))
        if len(inputs) == 1 and (only.name == self.name or not _is_column(only)):
            return converted(self, only)
        lengths = {one.shape[0] if one.shape else 1 for one in inputs.values()}
        if len(lengths) > 1:
            raise InputError(400, "the inputs, columns of a table, should have the same length")
        columns = {name: _checked(one, partial(self._column, one)) for name, one in inputs.items()}
        try:
            return self._as_sample(self._pandas.DataFrame(columns))
        except ValueError as error:
            raise InputError(400, str(error)) from None

    def _column(self, tensor: Tensor) -> Any:
        if not _is_column(tensor):
            raise ValueError(f"should have the shape [n] or [n, 1], not {list(tensor.shape)}")
        return _with_texts(tensor, self._numpy).ravel()

    def _as_sample(self, frame: Any) -> Any:
        """Return the table with the columns and dtypes of the sample. Raises ValueError if it has others."""
        if self._sample is None:
            return frame
        names = list(self._sample.columns)
        if set(frame.columns) != set(names):
            raise ValueError(f"the table should have the columns {', '.join(map(str, names))}")
        dtypes = self._sample.dtypes.items()
        return self._pandas.DataFrame({name: self._of_dtype(frame[name], dtype) for name, dtype in dtypes})

    def _of_dtype(self, column: Any, dtype: Any) -> Any:
        """Return the column with the dtype of the sample. Raises ValueError if a value does not fit."""
        if not isinstance(dtype, self._numpy.dtype) or dtype.kind not in "iufb":
            return column.astype(dtype)
        try:
            return cast_array(column.to_numpy(), dtype, self._numpy)
        except ValueError as error:
            raise ValueError(f"the column {column.name} {error}") from None


class SeriesParameter(TensorParameter):
    """A parameter that takes a pandas.Series."""

    def of_tensor(self, tensor: Tensor) -> Any:
        """Return the series."""
        if not _is_column(tensor):
            raise ValueError(f"should have the shape [n] or [n, 1], not {list(tensor.shape)}")
        return sys.modules["pandas"].Series(_with_texts(tensor, sys.modules["numpy"]).ravel())


def of_hint(parameter: inspect.Parameter, hint: Hint) -> TensorParameter:
    """Return the parameter for a type hint."""
    match hint.target:
        case "ndarray":
            return ArrayParameter(parameter, hint.convert, hint.dtype)
        case "DataFrame":
            return TableParameter(parameter, hint.convert)
        case "Series":
            return SeriesParameter(parameter, hint.schema, hint.convert)
    return TensorParameter(parameter, hint.schema, hint.convert)


def of_samples(run: Callable[..., Any], parameters: Sequence[inspect.Parameter]) -> list[TensorParameter]:
    """Return the parameters of a run() with the decorators of inference_schema."""
    types = samples.types_of(run)
    return [_of_sample(one, types.get(one.name)) for one in parameters]


def _of_sample(parameter: inspect.Parameter, kind: Any) -> TensorParameter:
    sample: Any = getattr(kind, "sample_input", None)
    if samples.is_array_sample(sample):
        dtype = sample.dtype if kind.enforce_column_type else None
        shape = sample.shape[1:] if kind.enforce_shape and sample.ndim else None
        return ArrayParameter(parameter, _unchanged, dtype, shape)
    if samples.is_table_sample(sample):
        return TableParameter(parameter, _unchanged, sample if kind.enforce_column_type else None)
    if kind is None or isinstance(sample, list | tuple):
        return TensorParameter(parameter, {"type": "array"}, _unchanged)
    return TensorParameter(parameter, {}, _single_value)


def _unchanged(value: Any) -> Any:
    """Return the value: the decorators convert it."""
    return value


def _single_value(value: Any) -> Any:
    """Return a value for a sample that is no list. Raises ValueError for a list."""
    if isinstance(value, list):
        raise ValueError("should have one element")  # noqa: TRY004 - the client's data
    return value


def arguments_of(parameters: Sequence[TensorParameter], request: InferenceRequest) -> dict[str, Any]:
    """Return the arguments of run(). Raises InputError if the inputs are not those of run().

    A parameter without an input gets the value of its name in the request's `parameters`, or its default.
    """
    inputs = request.inputs
    if len(parameters) == 1 and inputs:
        return {parameters[0].name: parameters[0].of_inputs(inputs)}
    names = [one.name for one in parameters]
    for name in inputs:
        if name not in names:
            raise InputError(
                400, f"the input {name!r} is no parameter of run(), which has {', '.join(names)}"
            )
    arguments = {}
    for parameter in parameters:
        if parameter.name in inputs:
            arguments[parameter.name] = converted(parameter, inputs[parameter.name])
        elif parameter.name in request.parameters:
            arguments[parameter.name] = _converted_value(parameter, request.parameters[parameter.name])
        elif parameter.default is not inspect.Parameter.empty:
            arguments[parameter.name] = parameter.default
        else:
            raise InputError(400, f"there is no input {parameter.name!r}, which run() needs")
    return arguments


def converted(parameter: TensorParameter, tensor: Tensor) -> Any:
    """Return the argument from one input. Raises InputError, which names the input."""
    return _checked(tensor, lambda: parameter.of_tensor(tensor))


def _checked(tensor: Tensor, convert: Callable[[], Any]) -> Any:
    try:
        return convert()
    except _CONVERSION_ERRORS as error:
        raise InputError(400, f"the input {tensor.name!r}: {error}") from None


def _converted_value(parameter: TensorParameter, value: Any) -> Any:
    try:
        return parameter.convert_value(value)
    except _CONVERSION_ERRORS as error:
        raise InputError(400, f"the parameter {parameter.name!r} of the request: {error}") from None


def _values_of_element(element: Any) -> list[Any]:
    """Return the element, and the value of a JSON text."""
    try:
        return [element, json.loads(element)] if isinstance(element, str) else [element]
    except (ValueError, RecursionError):
        return [element]


def _is_column(tensor: Tensor) -> bool:
    return len(tensor.shape) == 1 or (len(tensor.shape) == 2 and tensor.shape[1] == 1)


def _with_texts(tensor: Tensor, numpy: Any) -> Any:
    """Return the array of a tensor, BYTES as texts."""
    if tensor.datatype is not BYTES:
        return tensor.array(numpy)
    array = numpy.empty(tensor.size, dtype=object)
    array[:] = tensor.elements()
    return array.reshape(tensor.shape)
