"""Type hints: those that the runtime does not support, and those of np."""

import typing
from collections.abc import Sequence
from typing import Optional

import numpy as np
import pydantic
import pytest
from numpy.typing import NDArray

from modelyard.scoring.worker.hints import UnknownHintError, hint_of


def test_unsupported_class_is_an_unknown_hint() -> None:
    with pytest.raises(UnknownHintError):
        hint_of(type("Own", (), {}))


@pytest.mark.parametrize(
    ("dtype", "value"),
    [
        (np.int64, [1.7, 2.9]),
        (np.int64, ["1", "2"]),
        (np.int64, [True, False]),
        (np.int64, [[1], [True]]),
        (np.int64, [None]),
        (np.uint8, [0.5]),
        (np.uint8, [256]),
        (np.uint8, [-1]),
        (np.float64, ["1"]),
        (np.float64, [True]),
        (np.bool_, [1]),
    ],
)
def test_array_hint_refuses_values_that_it_would_change(dtype: type, value: list[object]) -> None:
    with pytest.raises(ValueError):
        hint_of(NDArray[dtype]).convert(value)  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("dtype", "value"), [(np.int64, 1e30), (np.int64, 2**63), (np.uint8, 256), (np.float32, 10**400)]
)
def test_number_that_does_not_fit_is_refused_with_the_type(dtype: type, value: float) -> None:
    with pytest.raises(ValueError, match=f"fit into {dtype.__name__}"):
        hint_of(NDArray[dtype]).convert([value])  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.int64, [1.0, 2]), (np.float32, [1, 0.1]), (np.bool_, [True]), (np.int64, [])],
)
def test_array_hint_takes_values_of_its_type(dtype: type, value: list[object]) -> None:
    array = hint_of(NDArray[dtype]).convert(value)  # type: ignore[valid-type]
    assert (array.dtype, array.tolist()) == (dtype, np.array(value, dtype).tolist())


@pytest.mark.parametrize(
    "value",
    [
        [0.5] * 40,
        [index / 7 for index in range(70)],
        [float(index) for index in range(70)],
        [0.5] * 40 + [1.0, 0.0, -0.0, float("inf"), float("nan")],
        [0.5] * 40 + [2],
        [0.5] * 40 + [2**53 + 1],
        [0.5] * 31,
        [7] * 40,
        [7] * 40 + [0.5],
    ],
)
def test_array_of_a_long_list_is_that_of_numpy(value: list[float]) -> None:
    array = hint_of(np.ndarray).convert(value)
    expected = np.array(value)
    assert array.dtype == expected.dtype
    assert array.tobytes() == expected.tobytes()
    array[0] = 9  # run() may change its input


@pytest.mark.parametrize("item", [True, False, "1", [1.0], 10**400])
def test_long_list_of_floats_with_another_value_is_refused(item: object) -> None:
    with pytest.raises((ValueError, OverflowError)):
        hint_of(np.ndarray).convert([0.5] * 40 + [item])


def test_null_is_nan_in_an_array_of_numbers() -> None:
    assert np.isnan(hint_of(NDArray[np.float64]).convert([None, 1.0])[0])


def test_pydantic_is_used_for_hints() -> None:
    assert hint_of(list[pydantic.PositiveInt]).schema["items"]["exclusiveMinimum"] == 0


@pytest.mark.parametrize("value", [1.5, True, "1", None])
def test_integer_hint_refuses_other_values(value: object) -> None:
    for hint, given in (
        (int, value),
        (list[int], [1, value]),
        (dict[str, int], {"a": value}),
        (tuple[int, ...], [value]),
        (Sequence[list[int]], [[value]]),
    ):
        with pytest.raises(ValueError, match=r"integer|whole number"):
            hint_of(hint).convert(given)


@pytest.mark.parametrize(
    ("hint", "value", "converted"),
    [
        (int, 2.0, 2),
        (Optional[int], None, None),  # noqa: UP045
        (int | str, "1", "1"),
        (list[int | None], [1, None], [1, None]),
        (tuple[int, str], [1, "a"], (1, "a")),
        (dict[int, float], {"1": 2}, {1: 2.0}),
        (typing.Dict, {"a": 1}, {"a": 1}),  # noqa: UP006
        (typing.List, [1], [1]),  # noqa: UP006
    ],
)
def test_integer_hint_takes_whole_numbers(hint: object, value: object, converted: object) -> None:
    assert hint_of(hint).convert(value) == converted


@pytest.mark.parametrize("places", [0, 1, 50])
@pytest.mark.parametrize("wrong", [True, False, None, "1", "a", {}, [1.5]])
def test_one_wrong_item_among_floats_is_found(places: int, wrong: object) -> None:
    convert = hint_of(np.ndarray).convert
    zeros_and_ones = [0.0, 1.0, 0, 1] * places
    for value in ([0.5] * 100 + zeros_and_ones, [[0.5, number] for number in [*zeros_and_ones, 2.5]]):
        array = convert(value)
        assert (array.dtype, array.tolist()) == (np.float64, value)
        last = value[-1]
        if isinstance(last, list):
            last[-1] = wrong
        else:
            value[-1] = wrong
        with pytest.raises(ValueError, match=r"should be an array|inhomogeneous shape"):
            convert(value)


def test_array_without_a_dtype_keeps_the_types_of_its_numbers() -> None:
    convert = hint_of(np.ndarray).convert
    for value in ([], [[], []], [1, 2], [2**63], [1, 2.5], [[float("nan"), float("inf")]], [1.5, 2**53 + 1]):
        array, expected = convert(value), np.asarray(value)
        assert array.dtype == expected.dtype
        np.testing.assert_array_equal(array, expected)
