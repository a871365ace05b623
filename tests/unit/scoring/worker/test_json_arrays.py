"""Large arrays of numbers in results: the values that are sent, and the rules that still hold."""

import json
import math
import random
import struct
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from modelyard.scoring.worker import json_arrays, msgspec_core
from modelyard.scoring.worker.json_values import NotJsonError, encoded

NUMBERS = 100_000


@pytest.fixture(autouse=True)
def core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgspec_core, "RUNTIME", Path(msgspec.__file__).parents[1])
    monkeypatch.setattr(msgspec_core, "core", None)
    msgspec_core.load()


def is_fast(value: Any) -> bool:
    return json_arrays.encoded_array(value) is not None


def test_numbers_decode_to_the_ones_that_were_returned() -> None:
    chance = random.Random(21)
    patterns = [chance.getrandbits(64) for _ in range(NUMBERS)]
    floats = [struct.unpack("d", struct.pack("Q", bits))[0] for bits in patterns]
    numbers = [number for number in floats if math.isfinite(number)]
    numbers += [chance.randint(-(2**63), 2**64 - 1) >> chance.randint(0, 63) for _ in range(NUMBERS)]
    numbers += [-0.0, 5e-324, 1.7976931348623157e308, 1e16, 1e-7, 0.1 + 0.2, 2**64, -(2**70), 10**400]
    text = encoded(numbers)
    assert b" " not in text
    assert repr(json.loads(text)) == repr(numbers)


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", "i1", "u4", "i8", "u8"])
def test_arrays_of_each_type_decode_as_with_the_standard_library(dtype: str) -> None:
    array = (np.arange(1200).reshape(300, 4) / 7 % 100).astype(dtype)
    assert is_fast(array)
    assert repr(json.loads(encoded(array))) == repr(array.tolist())


def test_large_arrays_in_an_object_are_encoded_with_its_other_fields() -> None:
    result = {"é": [1.5] * 1000, 'a"b': {"x": [None, True]}, "rows": [[1, 2.5]] * 300, "n": np.arange(600)}
    expected = {**result, "n": list(range(600))}
    assert json.loads(encoded(result)) == expected
    assert encoded(result).startswith(b'{"\\u00e9": [1.5,1.5')


@pytest.mark.parametrize("special", [None, True, "1", np.float64(0.5), {"a": 1}, [1.0], (1.0,)], ids=str)
def test_array_with_another_value_follows_the_usual_rules(special: Any) -> None:
    value = [0.5] * 1000 + [special]
    assert not is_fast(value)
    assert encoded(value) == json.dumps(value).encode()


@pytest.mark.parametrize(
    "value", [[math.inf] * 600, np.full(600, -math.inf), {"a": [[math.inf] * 600]}], ids=str
)
def test_infinity_in_a_large_array_is_refused(value: Any) -> None:
    with pytest.raises(NotJsonError, match="Infinity"):
        encoded(value)


def test_nan_in_a_large_array_is_null() -> None:
    assert json.loads(encoded(np.full(600, math.nan))) == [None] * 600


def test_keys_that_are_no_texts_follow_the_usual_rules() -> None:
    assert json.loads(encoded({1: [0.5] * 600, None: 2})) == {"1": [0.5] * 600, "null": 2}
    with pytest.raises(NotJsonError, match="same name"):
        encoded({1: [0.5] * 600, "1": [math.nan]})


def test_text_is_that_of_the_standard_library_without_msgspec(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(msgspec_core, "core", None)
    value = {"a": [0.5] * 600}
    assert encoded(value) == json.dumps(value).encode()
