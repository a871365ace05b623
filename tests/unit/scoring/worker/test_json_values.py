"""Results as JSON: exact, or refused."""

import collections
import datetime as dt
import decimal
import enum
import json
import math
import pathlib
import random
import struct
import types
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest

from modelyard.scoring.worker.json_values import NotJsonError, encoded

NAN = float("nan")
INFINITY = float("inf")
DAY = dt.date(2024, 1, 2)
MORNING = dt.datetime(2024, 1, 2, 3, tzinfo=dt.UTC)


@dataclass
class Point:
    x: Any
    y: float = 0.5


class Colour(enum.Enum):
    RED = "red"


def decoded(value: Any) -> Any:
    """Return what a client reads; NaN and Infinity are no JSON."""

    def refuse(constant: str) -> None:
        raise AssertionError(constant)

    return json.loads(encoded(value), parse_constant=refuse)


@pytest.mark.parametrize(
    ("value", "read"),
    [
        (3.2e-12, 3.2e-12),
        (0.12345678901234567, 0.12345678901234567),
        ([1.0, NAN], [1.0, None]),
        (np.array([[1.0, NAN]]), [[1.0, None]]),
        ({"p": np.float32("nan")}, {"p": None}),
        (Point(np.array([NAN])), {"x": [None], "y": 0.5}),
        (np.ma.array([1, 2], mask=[False, True]), [1, None]),
        ({np.int64(3): 1, 2: NAN, None: True}, {"3": 1, "2": None, "null": True}),
        (dict(zip(*np.unique([1, 1, 2], return_counts=True), strict=True)), {"1": 2, "2": 1}),
        ({DAY: 1}, {"2024-01-02": 1}),
        ([DAY, MORNING, dt.time(4)], ["2024-01-02", "2024-01-02T03:00:00+00:00", "04:00:00"]),
        (np.array(["2024-01-02T03", "NaT"], "datetime64[ns]"), ["2024-01-02T03:00:00.000000000", None]),
        (np.datetime64("2024-01-02"), "2024-01-02"),
        (decimal.Decimal("1.10"), "1.10"),
        (decimal.Decimal("NaN"), None),
        ({1}, [1]),
        (frozenset(), []),
        (range(3), [0, 1, 2]),
        (collections.deque([1, NAN]), [1, None]),
        ({"a": 1}.keys(), ["a"]),
        ({"a": NAN}.values(), [None]),
        ({"a": 1}.items(), [["a", 1]]),
        (types.MappingProxyType({1: NAN}), {"1": None}),
        (collections.ChainMap({"a": 1}, {"b": (2,)}), {"a": 1, "b": [2]}),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (pathlib.PurePosixPath("/a"), "/a"),
        (Colour.RED, "red"),
        (np.array([(1, 2.5)], [("a", int), ("b", float)]), [{"a": 1, "b": 2.5}]),
        (np.uint64(2**64 - 1), 2**64 - 1),
        (np.str_("a"), "a"),
        ((1, (2,)), [1, [2]]),
    ],
)  # fmt: skip
def test_value_is_written_exactly(value: Any, read: Any) -> None:
    assert decoded(value) == read


@pytest.mark.parametrize(
    ("value", "message"),
    [
        (INFINITY, "Infinity"),
        ([np.array([-INFINITY])], "Infinity"),
        (decimal.Decimal("Infinity"), "infinite Decimal"),
        (b"a", "a bytes"),
        (bytearray(b"a"), "a bytearray"),
        (1j, "a complex"),
        (object(), "an? object"),
        ((number for number in ()), "a generator"),
        (dt.timedelta(1), "a timedelta"),
        (np.timedelta64(1, "s"), "divide it by a unit"),
        (np.longdouble(1), "digits"),
        ({(1, 2): 3}, "JSON has texts as keys"),
        ({NAN: 3}, "JSON has texts as keys"),
        ({1: NAN, "1": 2}, "same name: '1'"),
        (Colour, "which JSON cannot express"),
    ],
)
def test_value_without_place_in_json_is_refused(value: Any, message: str) -> None:
    with pytest.raises(NotJsonError, match=message):
        encoded(value)


def test_random_values_decode_to_themselves() -> None:
    chance = random.Random(20)

    def number() -> float:
        while True:
            value: float = struct.unpack("<d", chance.randbytes(8))[0]
            if math.isfinite(value):
                return value

    def value(depth: int) -> Any:
        kind = chance.randrange(8 if depth else 6)
        if kind == 6:
            return [value(depth - 1) for _ in range(5)]
        if kind == 7:
            return {chance.randbytes(3).hex(): value(depth - 1) for _ in range(5)}
        return (number(), chance.getrandbits(70), None, True, chance.randbytes(4).hex(), -number())[kind]

    floats = [number() for _ in range(100_000)]
    trees = [value(4) for _ in range(1000)]
    assert decoded(floats) == floats
    assert decoded(np.array(floats)) == floats
    assert decoded(trees) == trees
    assert decoded([trees, NAN]) == [trees, None]
    for dtype in (np.int8, np.uint64, np.float32, np.bool_, np.float16):
        array = np.frombuffer(chance.randbytes(800), dtype=dtype if dtype != np.bool_ else np.uint8)
        array = array[np.isfinite(array)].astype(dtype)
        assert (np.array(decoded(array), dtype) == array).all()
