"""Results of run() as JSON, and hints that a driver contradicts."""

from tests.conformance.scoring.case import FAILED, SCRIPT_ERROR, Case, Group

RESULTS = """
import datetime, decimal, uuid
import numpy as np
import pandas as pd
frame = pd.DataFrame({"p": [3.2e-12, float("nan")], "when": pd.to_datetime(["2024-01-02", None])})
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

WRONG_HINTS = tuple(
    Group(
        f"the hint `{hint}` of a run() that parses text",
        f"import json, typing\ndef init(): pass\ndef run(data: {hint}):\n    return json.loads(data)\n",
        (Case("the text is the argument", body=b'{"data": [1, 2]}', json={"data": [1, 2]}),),
    )
    for hint in ("dict", "typing.Optional[str]")
)

GROUPS = (VALUES, *WRONG_HINTS)
