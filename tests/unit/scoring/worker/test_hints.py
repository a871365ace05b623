"""Type hints: those that the runtime does not support, and those of np."""

import numpy as np
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
    with pytest.raises((ValueError, OverflowError)):
        hint_of(NDArray[dtype]).convert(value)  # type: ignore[valid-type]


@pytest.mark.parametrize(
    ("dtype", "value"),
    [(np.int64, [1.0, 2]), (np.float32, [1, 0.1]), (np.bool_, [True]), (np.int64, [])],
)
def test_array_hint_takes_values_of_its_type(dtype: type, value: list[object]) -> None:
    array = hint_of(NDArray[dtype]).convert(value)  # type: ignore[valid-type]
    assert (array.dtype, array.tolist()) == (dtype, np.array(value, dtype).tolist())


def test_null_is_nan_in_an_array_of_numbers() -> None:
    assert np.isnan(hint_of(NDArray[np.float64]).convert([None, 1.0])[0])
