"""Drivers with `async def`, and asyncio in plain drivers."""

from tests.conformance.scoring.case import FAILED, JSON, PASSED, SCRIPT_ERROR, Case, Group

ASYNC = """
import asyncio

async def init():
    global loop
    loop = asyncio.get_running_loop()

async def value(result):
    await asyncio.sleep(0.01)
    return result

async def pieces(*texts):
    for number, text in enumerate(texts):
        if number:
            await asyncio.sleep(0.2)
        yield text
"""

NEVER_AWAITED = "The peer awaits neither init() nor run(): a coroutine is no result for it."

DRIVERS = (
    Group(
        "async driver",
        ASYNC + "async def run(data): return await value(eval(data))\n",
        (
            Case("a result", body=b"{'a': 1}", json={"a": 1}, headers=PASSED),
            Case(
                "init() has run, on the same event loop",
                body=b"loop is asyncio.get_running_loop()",
                json=True,
            ),
            Case("an async generator", body=b"pieces('a', 'b')", pieces=("a", "b")),
        ),
        why=NEVER_AWAITED,
    ),
    Group(
        "async driver that raises",
        ASYNC + "async def run(data): return await value(eval(data))\n",
        (Case("run() raises", body=b"1 / 0", status=500, json=SCRIPT_ERROR, headers=FAILED),),
        why="The peer never begins this run(): it reports an error of the server.",
    ),
    Group(
        "async driver with hints",
        ASYNC + "async def run(rows: list[int]): return await value(sum(rows))\n",
        (Case("a result", body=b'{"rows": [1, 2]}', sent=JSON, json=3),),
        why=NEVER_AWAITED,
    ),
    Group(
        "async driver with inference_schema",
        """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema, output_schema
def init(): pass
@input_schema("number", StandardPythonParameterType(1))
@output_schema(StandardPythonParameterType(1))
async def run(number): return number + 1
""",
        (
            Case("a result", body=b'{"number": 1}', sent=JSON, json=2, why=NEVER_AWAITED),
            Case(
                "a wrong type",
                body=b'{"number": "a"}',
                sent=JSON,
                status=400,
                why="The peer answers 400 for plain drivers only, and 500 here.",
            ),
        ),
    ),
    Group(
        "async init() of a plain driver",
        ASYNC + "def run(data): return eval(data)\n",
        (Case("init() has run", body=b"loop.is_closed()", json=False),),
        why=NEVER_AWAITED,
    ),
)

RAW = Group(
    "async driver with @rawhttp",
    """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
def init(): pass
@rawhttp
async def run(request):
    return AMLResponse(request.get_data(as_text=True) + request.args["a"], 201)
""",
    (Case("a response", path="/score?a=1", body=b"body", status=201, text="body1"),),
    why=NEVER_AWAITED,
)

PLAIN = Group(
    "asyncio in a plain driver",
    """
import asyncio
def init(): pass
async def value(result): return result
def run(data): return eval(data)
""",
    (
        Case("get_event_loop()", body=b"asyncio.get_event_loop().run_until_complete(value(1))", json=1),
        Case("asyncio.run()", body=b"asyncio.run(value(1))", json=1),
        Case(
            "get_event_loop() after asyncio.run()",
            body=b"asyncio.get_event_loop().run_until_complete(value(1))",
            json=1,
            why="asyncio.run() of an earlier request leaves the peer's thread without an event loop.",
        ),
    ),
)

GROUPS = (*DRIVERS, RAW, PLAIN)
