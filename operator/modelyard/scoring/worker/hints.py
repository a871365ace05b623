"""Type hints of run() as JSON schema, and as conversion of JSON values.

With pydantic in the driver's environment pydantic does both; numpy and pandas types are recognised by name.
None of the three is imported here: a driver whose hints use one has imported it already.
"""

import dataclasses
import struct
import sys
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import getitem, itemgetter
from typing import Any, Final

Schema = dict[str, Any]
Convert = Callable[[Any], Any]


class UnknownHintError(Exception):
    """The type is not supported: run() is treated as a function without a schema."""


@dataclass(frozen=True, slots=True)
class Hint:
    """The type of a parameter or of the result."""

    schema: Schema
    """JSON schema 2020-12, without $ref."""
    convert: Convert
    """Converts a JSON value to the type. Raises ValueError or TypeError with a message for the client."""
    target: str = ""
    """`ndarray`, `DataFrame` or `Series`: the type that tensors are converted to without JSON values."""
    dtype: Any = None
    """The dtype of an ndarray, if the hint has one."""


def hint_of(annotation: Any) -> Hint:
    """Return the hint of a type. Raises UnknownHintError if the type is not supported."""
    for recognise in (_of_numpy, _of_pandas, _of_pydantic, _of_standard_type):
        hint = recognise(annotation)
        if hint is not None:
            return hint
    raise UnknownHintError(str(annotation))


def _full_name(annotation: Any) -> str:
    """Return module.name of a class or of a generic's class; numpy.ndarray for numpy.typing's aliases."""
    plain = typing.get_origin(annotation) or annotation
    return f"{getattr(plain, '__module__', '')}.{getattr(plain, '__name__', '')}"


def _of_numpy(annotation: Any) -> Hint | None:
    if _full_name(annotation) != "numpy.ndarray":
        return None
    numpy = sys.modules["numpy"]
    arguments = typing.get_args(annotation)
    inner = typing.get_args(arguments[1]) if len(arguments) > 1 else ()
    dtype = inner[0] if inner and isinstance(inner[0], type) else None
    kinds = {"f": "number", "i": "integer", "u": "integer", "b": "boolean"}
    try:
        items = kinds.get(numpy.dtype(dtype).kind) if dtype else "number"
    except TypeError:  # an abstract type such as numpy.floating
        dtype, items = None, "number"
    number: Schema = {"type": items} if items else {}
    example = [[0.5, 0.5]] if items == "number" else [[1, 1]] if items == "integer" else []
    either = {"anyOf": [number, {"type": "array", "items": {}}]} if items else {}
    schema: Schema = {"type": "array", "items": either, "examples": [example]}

    def convert(value: Any) -> Any:
        if not isinstance(value, list):
            raise ValueError(f"should be an array, not {_described(value)}")  # noqa: TRY004 - the client's data
        floats = _array_of_floats(value, numpy) if dtype in (None, float, numpy.float64) else None
        if floats is not None:
            return floats
        if items and not _leaf_types(value) <= _LEAF_TYPES[items]:
            raise ValueError(f"should be an array with items of the type {items}")
        try:
            array = numpy.asarray(value, dtype=dtype)
        except OverflowError:
            raise ValueError(f"should be an array of numbers that fit into {numpy.dtype(dtype)}") from None
        if items and array.dtype.kind not in "fiub":
            raise ValueError("should be an array of numbers of one shape")
        if items == "integer" and not (array == numpy.asarray(value)).all():
            raise ValueError(f"should be an array of whole numbers that fit into {array.dtype}")
        return array

    return Hint(schema, convert, "ndarray", numpy.dtype(dtype) if dtype else None)


_LEAF_TYPES: dict[str, set[type]] = {
    "integer": {int, float},  # 1.0 is a whole number
    "number": {int, float, type(None)},  # null becomes NaN
    "boolean": {bool},
}
"""Types of JSON values that an array may have, by the JSON type of its items."""


def _array_of_floats(value: Any, numpy: Any) -> Any:
    """Return the array if all items are numbers and at least one is a float; None for other arrays.

    The search for the types of all items takes as long as numpy's conversion. In numpy's array, only items
    that are 0 or 1 may have been booleans.
    """
    floats = _packed_floats(value, numpy)
    if floats is not None:
        return floats
    try:
        array = numpy.asarray(value)
    except ValueError:  # rows of different lengths
        return None
    if array.dtype.kind != "f":
        return None
    places = numpy.argwhere((array == 0) | (array == 1)).tolist()
    if len(places) > array.size // 8:  # a look-up takes eight times as long as one step of the search
        return None if bool in _leaf_types(value) else array
    has_booleans = any(type(reduce(getitem, place, value)) is bool for place in places)
    return None if has_booleans else array


def _packed_floats(value: list[Any], numpy: Any) -> Any:
    """Return the array of a list of floats; None for other lists, and for short ones.

    struct takes a third of the time of numpy, which searches for the dtype first. It takes int and bool, too.
    In the array, they can only be among the whole numbers.
    """
    size = len(value)
    if size < _MIN_PACKED or type(value[0]) is not float:
        return None
    array = numpy.empty(size)
    try:
        struct.pack_into(f"{size}d", array, 0, *value)
    except (struct.error, OverflowError):
        return None
    whole = array == numpy.trunc(array)
    if numpy.count_nonzero(whole) > size // 4:  # a look-up takes as long as three steps through the list
        suspects = value
    else:  # with two places more, since itemgetter makes a tuple of two and more
        suspects = itemgetter(0, 0, *whole.nonzero()[0].tolist())(value)
    return array if set(map(type, suspects)) == {float} else None


_MIN_PACKED: Final = 32
"""Floats from which on struct is faster than numpy."""


def _leaf_types(value: list[Any]) -> set[type]:
    """Return the types of all items that are no arrays, in all dimensions."""
    found = set(map(type, value))
    if list in found:
        found.discard(list)
        for one in value:
            if isinstance(one, list):
                found |= _leaf_types(one)
    return found


def _of_pandas(annotation: Any) -> Hint | None:
    name = _full_name(annotation).rpartition(".")[2]
    if not _full_name(annotation).startswith("pandas.") or name not in ("DataFrame", "Series"):
        return None
    pandas = sys.modules["pandas"]
    if name == "Series":
        return Hint(
            {"type": "array", "items": {}, "examples": [[1, 2]]},
            lambda value: pandas.Series(_list(value)),
            "Series",
        )

    def convert(value: Any) -> Any:
        if isinstance(value, dict) and {"columns", "data"} <= set(value):
            return pandas.DataFrame(value["data"], columns=value["columns"])
        return pandas.DataFrame(value if isinstance(value, dict) else _list(value))

    rows = {"type": "array", "items": {"type": "object"}, "examples": [[{"column": 1}]]}
    return Hint(rows, convert, "DataFrame")


def _of_pydantic(annotation: Any) -> Hint | None:
    pydantic = sys.modules.get("pydantic")
    if pydantic is None or not hasattr(pydantic, "TypeAdapter"):
        return None
    try:
        adapter = pydantic.TypeAdapter(_with_exact_integers(annotation, pydantic))
        schema = adapter.json_schema()
    except Exception:  # pydantic does not support the type; its error classes differ between versions
        return None

    def convert(value: Any) -> Any:
        try:
            return adapter.validate_python(value)
        except pydantic.ValidationError as error:
            raise ValueError(_message_of(error)) from None

    return Hint(_inlined(schema, schema.get("$defs", {}), ()), convert)


def _with_exact_integers(annotation: Any, pydantic: Any) -> Any:
    """Return the type with integers that take no texts and booleans, which pydantic converts by default.

    The fields of a model stay as the model's author has declared them.
    """
    if annotation is int:
        return typing.Annotated[int, pydantic.BeforeValidator(_number_or_error)]
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    containers = (list, tuple, set, dict, Sequence, Mapping, typing.Union, types.UnionType)
    if origin not in containers or not arguments:  # without arguments: typing.Dict
        return annotation
    exact = tuple(_with_exact_integers(argument, pydantic) for argument in arguments)
    if origin in (dict, Mapping):
        exact = (arguments[0], *exact[1:])  # the keys of a JSON object are texts
    return typing.Union[exact] if origin in (typing.Union, types.UnionType) else origin[exact]  # noqa: UP007


def _number_or_error(value: Any) -> Any:
    if isinstance(value, str | bool):
        raise ValueError(f"should be a whole number, not {_described(value)}")  # noqa: TRY004 - pydantic's rule
    return value


def _message_of(error: Any) -> str:
    """Return pydantic's first three errors in one line, without the input."""
    errors = error.errors()
    messages = [
        f"{'.'.join(map(str, one['loc']))}: {one['msg'].removeprefix('Value error, ')}".removeprefix(": ")
        for one in errors[:3]
    ]
    return "; ".join(messages) + (f" (and {len(errors) - 3} more)" if len(errors) > 3 else "")


def _inlined(schema: Any, definitions: Mapping[str, Any], open_names: tuple[str, ...]) -> Any:
    """Replace each $ref by its definition: each OpenAPI version has another place for definitions.

    A recursive type becomes {} where it refers to itself. `open_names` are the definitions around `schema`.
    """
    if isinstance(schema, list):
        return [_inlined(item, definitions, open_names) for item in schema]
    if not isinstance(schema, dict):
        return schema
    reference = schema.get("$ref")
    if isinstance(reference, str):
        name = reference.rpartition("/")[2]
        if name in open_names:
            return {}
        rest = {key: value for key, value in schema.items() if key != "$ref"}
        return _inlined({**definitions[name], **rest}, definitions, (*open_names, name))
    return {key: _inlined(value, definitions, open_names) for key, value in schema.items() if key != "$defs"}


def _of_standard_type(annotation: Any) -> Hint | None:  # noqa: PLR0911 - one return per kind of type
    if annotation is Any or annotation is object:
        return Hint({}, lambda value: value)
    if annotation in _SIMPLE:
        return _SIMPLE[annotation]
    if isinstance(annotation, type) and dataclasses.is_dataclass(annotation):
        return _of_dataclass(annotation)
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Annotated:
        return hint_of(arguments[0])
    if origin in (typing.Union, types.UnionType):
        return _of_union([hint_of(argument) for argument in arguments])
    if origin is typing.Literal:
        return _of_literal(list(arguments))
    if origin in (list, Sequence, tuple, set) or annotation in (list, tuple, set):
        return _of_list(origin or annotation, arguments)
    if origin in (dict, Mapping) or annotation is dict:
        return _of_dict(arguments)
    return None


def _of_list(kind: Any, arguments: tuple[Any, ...]) -> Hint:
    build = kind if kind in (tuple, set) else list
    if build is tuple and arguments and arguments[-1] is not Ellipsis:
        items = [hint_of(argument) for argument in arguments]

        def convert_items(value: Any) -> Any:
            if len(_list(value)) != len(items):
                raise ValueError(f"should have {len(items)} items, not {len(value)}")
            return tuple(item.convert(one) for item, one in zip(items, value, strict=True))

        return Hint({"type": "array", "prefixItems": [item.schema for item in items]}, convert_items)
    item = hint_of(arguments[0] if arguments else Any)

    def convert(value: Any) -> Any:
        return build([item.convert(one) for one in _list(value)])

    return Hint({"type": "array", "items": item.schema}, convert)


def _of_dict(arguments: tuple[Any, ...]) -> Hint:
    item = hint_of(arguments[1] if len(arguments) > 1 else Any)

    def convert(value: Any) -> Any:
        return {key: item.convert(one) for key, one in _object(value).items()}

    return Hint({"type": "object", "additionalProperties": item.schema or True}, convert)


def _of_dataclass(kind: Any) -> Hint:
    fields = {field.name: field for field in dataclasses.fields(kind) if field.init}
    annotations = typing.get_type_hints(kind)
    hints = {name: hint_of(annotations[name]) for name in fields}
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]

    def convert(value: Any) -> Any:
        for name in _object(value):
            if name not in hints:
                raise ValueError(f"the field {name!r} is not known")
        for name in required:
            if name not in value:
                raise ValueError(f"the field {name!r} is missing")
        return kind(**{name: hints[name].convert(one) for name, one in value.items()})

    properties = {name: hint.schema for name, hint in hints.items()}
    return Hint({"type": "object", "properties": properties, "required": required}, convert)


def _of_union(members: list[Hint]) -> Hint:
    def convert(value: Any) -> Any:
        errors = []
        for member in members:
            try:
                return member.convert(value)
            except (ValueError, TypeError) as error:
                errors.append(str(error))
        raise ValueError(" or ".join(dict.fromkeys(errors)))

    # `ndarray | None` is an array for tensors
    tensor = next((member for member in members if member.target), members[0])
    return Hint({"anyOf": [member.schema for member in members]}, convert, tensor.target, tensor.dtype)


def _of_literal(allowed: list[Any]) -> Hint:
    def convert(value: Any) -> Any:
        if not any(type(value) is type(one) and value == one for one in allowed):
            raise ValueError(f"should be one of {', '.join(map(repr, allowed))}")
        return value

    return Hint({"enum": allowed}, convert)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"should be an array, not {_described(value)}")  # noqa: TRY004 - the client's data
    return value


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"should be an object, not {_described(value)}")  # noqa: TRY004 - the client's data
    return value


def _simple(schema_type: str, description: str, accept: Callable[[Any], bool], build: Convert) -> Hint:
    def convert(value: Any) -> Any:
        if not accept(value):
            raise ValueError(f"should be {description}, not {_described(value)}")
        return build(value)

    return Hint({"type": schema_type}, convert)


def _described(value: Any) -> str:
    """Return the JSON type of a value, for messages."""
    names = {dict: "an object", list: "an array", str: "a text", bool: "true or false", type(None): "null"}
    return names.get(type(value), "a number")


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


_SIMPLE: dict[Any, Hint] = {
    str: _simple("string", "a text", lambda value: isinstance(value, str), str),
    bool: _simple("boolean", "true or false", lambda value: isinstance(value, bool), bool),
    float: _simple("number", "a number", _is_number, float),
    int: _simple(
        "integer",
        "a whole number",
        lambda value: _is_number(value) and (isinstance(value, int) or value.is_integer()),
        int,
    ),
    None: _simple("null", "null", lambda value: value is None, lambda value: value),
    type(None): _simple("null", "null", lambda value: value is None, lambda value: value),
}
