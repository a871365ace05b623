"""The real clients of kserve and Triton with the runtime, and raw requests also with kserve's server."""

import json
import subprocess
from contextlib import ExitStack
from pathlib import Path

from tests.conformance.scoring.servers import Server, Servers, prepare_inference_clients, serving

HERE = Path(__file__).parent
KEY = "own"
TIMEOUT_SECONDS = 120

ARRAYS = """
import numpy
def init(): pass
def run(x: numpy.ndarray, scale: float = 1.0, form: str = "array") -> numpy.ndarray:
    if form == "raise":
        raise ValueError("a detail of the driver")
    if form == "dict":
        return {"x": x, "scale": scale, "form": form}
    return x if scale == 1 else x * scale
"""

TABLE = """
import pandas
def init(): pass
def run(frame: pandas.DataFrame) -> pandas.DataFrame:
    return frame.assign(text=[str(value) + "!" for value in frame.iloc[:, 0]])
"""

NUMPY_SAMPLE = """
import numpy as np
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("rows", NumpyParameterType(np.array([[1, 2, 3]], dtype="float32")))
@input_schema("times", StandardPythonParameterType(2))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(rows, times=1):
    assert rows.dtype == np.float32
    return rows.sum(axis=1, dtype="float64") * times
"""

PANDAS_SAMPLE = """
import pandas as pd
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema
sample = pd.DataFrame({"age": [30], "name": ["Ann"]})
def init(): pass
@input_schema("table", PandasParameterType(sample))
@output_schema(PandasParameterType(sample))
def run(table):
    assert table.columns.tolist() == ["age", "name"] and table.dtypes["age"] == "int64", table.dtypes
    return table.assign(age=table["age"] + 1)
"""

PLAIN = """
import json
def init(): pass
def run(data):
    rows = json.loads(data)["data"]
    return {"sums": [sum(row) for row in rows], "model": "plain"}
"""

DRIVERS = {
    "arrays": ARRAYS,
    "table": TABLE,
    "numpy_sample": NUMPY_SAMPLE,
    "pandas_sample": PANDAS_SAMPLE,
    "plain": PLAIN,
}


def run_checks(servers: Servers) -> dict[str, str]:
    """Return the problem of each check by its name, empty texts for checks that passed."""
    environment = prepare_inference_clients()
    python = environment / "bin" / "python"
    peer = Server("kserve", f"{python} {HERE / 'kserve_model.py'} {{port}}")
    with ExitStack() as stack:
        ports = {
            name: stack.enter_context(
                serving(
                    servers.runtime,
                    driver,
                    {"MODELYARD_KEYS_DIR": "{folder}", "MODELYARD_QUEUE_TIMEOUT_MS": "10000"},
                    {"primaryKey": KEY},
                )
            )
            for name, driver in DRIVERS.items()
        }
        ports["kserve"] = stack.enter_context(serving(peer, "", {}, {}))
        completed = subprocess.run(
            [python, HERE / "clients.py", KEY, json.dumps(ports)],
            check=False,
            capture_output=True,
            text=True,
            timeout=TIMEOUT_SECONDS,
        )
    if completed.returncode:
        return {"the clients": completed.stderr[-2000:]}
    results: dict[str, str] = json.loads(completed.stdout.splitlines()[-1])
    return results
