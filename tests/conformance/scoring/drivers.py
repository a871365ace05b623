"""The drivers of the cases. Each is a complete driver file."""

PLAIN = """
import json
VALUES = {"none": None, "number": 1.5, "list": [1, "a"], "nan": float("nan"), "object": object()}
def init():
    print("printed by init")
def run(data):
    if data == "raise":
        raise ValueError("a detail of the driver")
    if data == "exit":
        raise SystemExit(7)
    return VALUES.get(data, data)
"""

HEADERS = """
def init(): pass
def run(data, request_headers):
    return request_headers.get(data)
"""

SCHEMA = """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("name", StandardPythonParameterType("Ann"))
@input_schema("count", StandardPythonParameterType(3))
@output_schema(StandardPythonParameterType({"repeated": "text"}))
def run(name, count=2):
    if name == "raise":
        raise ValueError("a detail of the driver")
    return {"repeated": name * count}
"""

ARRAYS = """
import numpy as np
import pandas as pd
from inference_schema.parameter_types.numpy_parameter_type import NumpyParameterType
from inference_schema.parameter_types.pandas_parameter_type import PandasParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("matrix", NumpyParameterType(np.array([[1.0, 2.0]])))
@input_schema("table", PandasParameterType(pd.DataFrame({"age": [30]})))
@output_schema(NumpyParameterType(np.array([1.0])))
def run(matrix, table):
    return [float(matrix.sum()), int(table["age"].sum())]
"""

RAW = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    what = request.args.get("what")
    if what == "method":
        return request.method
    if what == "header":
        return request.headers.get("x-colour")
    if what == "json":
        return request.get_json()["a"]
    if what == "file":
        return request.files["part"].read().decode() + request.form["field"]
    if what == "bytes":
        return AMLResponse(request.get_data()[::-1], 200, {"Content-Type": "image/png"})
    if what == "status":
        return AMLResponse("no", 418)
    if what == "fail":
        return AMLResponse("broken", 503)
    if what == "jsonresponse":
        return AMLResponse({"a": 1}, 201, {"x-colour": "red"}, json_str=True)
    if what == "empty":
        return AMLResponse(None, 200)
    if what == "raise":
        raise ValueError("a detail of the driver")
    return "plain"
"""

OLD_IMPORTS = RAW.replace("azureml_inference_server_http.api.", "azureml.contrib.services.")

SLOW = """
import time
def init(): pass
def run(data):
    time.sleep(float(data))
    return "done"
"""

BROKEN_IMPORT = "import no_such_module\n"
BROKEN_INIT = "def init(): raise OSError('no model')\ndef run(data): return data\n"
NO_RUN = "def init(): pass\n"
TWO_STARS = "def init(): pass\ndef run(*data): return data\n"
BOTH_DECORATORS = SCHEMA.replace("@input_schema", "@rawhttp\n@input_schema", 1).replace(
    "def init", "from azureml_inference_server_http.api.aml_request import rawhttp\ndef init"
)
ECHO = "def init(): pass\ndef run(data): return data\n"
HINTS = """
def init(): pass
def run(numbers: list[float], scale: float = 1.0) -> list[float]:
    return [number * scale for number in numbers]
"""

ARRAY_HINTS = """
import numpy as np
import pandas as pd
from pydantic import BaseModel, Field
class Options(BaseModel):
    scale: float = Field(1.0, gt=0)
def init(): pass
def run(matrix: np.ndarray, table: pd.DataFrame, options: Options = Options()) -> np.ndarray:
    return matrix.sum(axis=0) * table["age"].mean() * options.scale
"""

OLD_WHEELS = """
import httptools, pydantic, uvloop
class Person(pydantic.BaseModel):
    name: str
def init():
    uvloop.new_event_loop().close()
    httptools.HttpRequestParser(object())
def run(numbers: list[float]) -> dict:
    Person(name="Ann")
    return {"sum": sum(numbers), "versions": [uvloop.__version__, httptools.__version__, pydantic.VERSION]}
"""
