"""Results of run() as JSON, and hints that a driver contradicts."""

from typing import Any

from tests.conformance.scoring.case import FAILED, SCRIPT_ERROR, Case, Group

RESULTS = """
import datetime, decimal, uuid
import numpy as np
import pandas as pd
frame = pd.DataFrame({"p": [3.2e-12, float("nan")], "when": pd.to_datetime(["2024-01-02", None])})
def random_columns(rows):
    chance = np.random.default_rng(21)
    floats = {kind: np.frombuffer(chance.bytes(rows * int(kind[1])), kind) for kind in ("f2", "f4", "f8")}
    floats = {kind: np.nan_to_num(one, posinf=1, neginf=-1) for kind, one in floats.items()}
    integers = {
        kind: chance.integers(np.iinfo(kind).min, np.iinfo(kind).max, rows, kind, endpoint=True)
        for kind in ("i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8")
    }
    texts = [chance.bytes(4).decode("latin-1") for _ in range(rows)]
    moments = (chance.integers(0, 2**58, rows) // 10 * 10 + 1).astype("datetime64[ns]")
    return {**floats, **integers, "?": integers["i1"] > 0, "U4": np.array(texts), "M8": moments}

def random_results(rows):
    columns = random_columns(rows)
    table = pd.DataFrame(columns)
    table["category"] = table["u1"].astype("category")
    table["Int64"] = table["i8"].astype("Int64").where(table["?"])
    table["string"] = table["U4"].astype("string")
    items = {
        name: np.datetime_as_string(one).tolist() if name == "M8" else [item.item() for item in one]
        for name, one in columns.items()
    }
    items["category"], items["string"] = items["u1"], items["U4"]
    items["Int64"] = [one if known else None for one, known in zip(items["i8"], items["?"])]
    series = {name: table[name] for name in table}
    return {"table": table, "series": series, "arrays": columns, "items": items}
def init(): pass
def run(data):
    return eval(data)
"""

REFUSES = "The peer's json.dumps refuses the type."

VALUES = Group(
    "results",
    RESULTS,
    tuple(
        Case(code, body=code.encode(), json=value, why=why)
        for code, value, why in (
            ("[0.12345678901234567, 3.2e-12, 10**30]", [0.12345678901234567, 3.2e-12, 10**30], ""),
            ("{1: 'a', None: True, 2.5: 'c'}", {"1": "a", "null": True, "2.5": "c"}, ""),
            ("np.float64(3.2e-12)", 3.2e-12, ""),
            ("frame", [{"p": 3.2e-12, "when": "2024-01-02T00:00:00"}, {"p": None, "when": None}], REFUSES),
            ("frame[['p']][:1].set_index(pd.Index(['a'], name='id'))", [{"id": "a", "p": 3.2e-12}], REFUSES),
            ("frame[1:][['p']]", [{"p": None}], REFUSES),
            ("pd.Series([1, 2])[1:]", [2], REFUSES),
            ("pd.Series(['a', 'a', 'b']).value_counts()", {"a": 2, "b": 1}, REFUSES),
            ("pd.Series([1, None], dtype='Int64')", [1, None], REFUSES),
            ("pd.Series(['x', 'y'], dtype='category')", ["x", "y"], REFUSES),
            ("frame['when']", ["2024-01-02T00:00:00", None], REFUSES),
            ("frame['when'].to_numpy()[:1].astype('datetime64[D]')", ["2024-01-02"], REFUSES),
            ("pd.Timestamp('2024-01-02T03:04:05.123456789')", "2024-01-02T03:04:05.123456789", REFUSES),
            ("pd.Index([1, 2])", [1, 2], REFUSES),
            ("pd.DataFrame({0: [1]})", [{"0": 1}], REFUSES),
            (
                "pd.Series([1], index=pd.MultiIndex.from_tuples([('a', 1)], names=['x', 'y']))",
                [{"x": "a", "y": 1, "value": 1}],
                REFUSES,
            ),
            ("dict(zip(*np.unique([1, 1, 2], return_counts=True)))", {"1": 2, "2": 1}, REFUSES),
            (
                "[datetime.date(2024, 1, 2), decimal.Decimal('1.10'), {1}]",
                ["2024-01-02", "1.10", [1]],
                REFUSES,
            ),
            ("uuid.UUID(int=1)", "00000000-0000-0000-0000-000000000001", REFUSES),
        )
    )
    + tuple(
        Case(code, body=code.encode(), status=500, json=SCRIPT_ERROR, headers=FAILED, why=why)
        for code, why in (
            ("float('inf')", "The peer sends Infinity, which is no JSON."),
            ("b'a'", "The peer reports an error of the server."),
            ("datetime.timedelta(1)", "The peer reports an error of the server."),
            ("pd.DataFrame([[1, 2]], columns=['a', 'a'])", "The peer reports an error of the server."),
        )
    ),
)


def _decodes_to_its_items(body: Any) -> bool:
    """Compare a table, its columns and numpy arrays with the Python values of their items."""
    items = body["items"]
    rows = [dict(zip(items, row, strict=True)) for row in zip(*items.values(), strict=True)]
    arrays = {name: one for name, one in items.items() if name in body["arrays"]}
    return body["table"] == rows and body["series"] == items and body["arrays"] == arrays


RANDOM_VALUES = Group(
    "results of random values",
    RESULTS,
    (
        Case(
            "100,000 values of each type of pandas and numpy",
            body=b"random_results(6250)",
            check=_decodes_to_its_items,
            why=REFUSES,
        ),
    ),
)

WRONG_HINTS = tuple(
    Group(
        f"the hint `{hint}` of a run() that parses text",
        f"import json, typing\ndef init(): pass\ndef run(data: {hint}):\n    return json.loads(data)\n",
        (Case("the text is the argument", body=b'{"data": [1, 2]}', json={"data": [1, 2]}),),
    )
    for hint in ("dict", "typing.Optional[str]")
)

GROUPS = (VALUES, RANDOM_VALUES, *WRONG_HINTS)
