"""The contract of a scoring server: requests, required responses, and reasons for differences."""

import json

from tests.conformance.scoring import (
    async_cases,
    coding_cases,
    drivers,
    process_cases,
    raw_cases,
    stream_cases,
    value_cases,
)
from tests.conformance.scoring.case import FAILED, JSON, PASSED, SCRIPT_ERROR, Case, Group, ids

MULTIPART = (
    b'--b\r\nContent-Disposition: form-data; name="part"; filename="f.txt"\r\n\r\nfile\r\n'
    b'--b\r\nContent-Disposition: form-data; name="field"\r\n\r\nvalue\r\n--b--\r\n'
)

PLAIN = Group(
    "plain driver",
    drivers.PLAIN,
    (
        Case("liveness", "GET", "/", text="Healthy"),
        Case("liveness by HEAD", "HEAD", "/"),
        Case("the body is text for run(); a str result is quoted", body=b"hello", json="hello"),
        Case("the result's type", body=b"x", headers={"content-type": "application/json"}),
        Case(
            "the header of a run() that did not fail",
            body=b"x",
            headers=PASSED,
        ),
        Case("UTF-8", body="grün ☃".encode(), json="grün ☃"),
        Case("an empty body", body=b"", json=""),
        Case(
            "None is null",
            body=b"none",
            json=None,
            why="The runtime sends json.dumps(None); the peer takes None for a missing result and sends {}.",
        ),
        Case("a number", body=b"number", json=1.5),
        Case("a list", body=b"list", json=[1, "a"]),
        Case("NaN is null", body=b"nan", text="null", why="The peer sends NaN, which is no JSON."),
        Case("bad UTF-8", body=b"\xff\xfe", status=400),
        Case("the content type of a plain driver does not matter", body=b"x", sent=JSON, json="x"),
        Case("GET gives the query as JSON text", "GET", "/score?a=1&b=x", json='{"a": 1, "b": "x"}'),
        Case("a repeated name is a list", "GET", "/score?a=1&a=x", json='{"a": [1, "x"]}'),
        Case("GET without a query", "GET", "/score", json="{}"),
        Case(
            "a value nested too deeply for JSON is text",
            "GET",
            "/score?a=" + "[" * 2500,
            json=json.dumps({"a": "[" * 2500}),
            why="The peer's JSON parser reaches the recursion limit, and the server fails with 500.",
        ),
        Case("run() does not get the query of a POST", "POST", "/score?a=1", b"x", json="x"),
        Case("run() raises", body=b"raise", status=500, json=SCRIPT_ERROR, headers=FAILED),
        Case(
            "run() ends with sys.exit()",
            body=b"exit",
            status=500,
            json=SCRIPT_ERROR,
            headers=FAILED,
            why="The peer does not count sys.exit() as a failure of run().",
        ),
        Case(
            "run() returns an object that JSON cannot express",
            body=b"object",
            status=500,
            json=SCRIPT_ERROR,
            headers=FAILED,
            why="The driver is at fault, as the header shows; the peer reports an error of the server.",
        ),
        Case("OPTIONS", "OPTIONS", "/score"),
        Case("a wrong method", "DELETE", "/score", status=405, check=lambda body: "message" in body),
        Case("a wrong method for liveness", "POST", "/", b"x", status=405),
        Case("an unknown path", "GET", "/nothing", status=404, check=lambda body: "message" in body),
        Case(
            "x-request-id is echoed", body=b"x", sent=ids(x_request_id="one"), headers=ids(x_request_id="one")
        ),
        Case(
            "x-request-id fills x-ms-request-id",
            body=b"x",
            sent=ids(x_request_id="one"),
            headers={**ids(x_ms_request_id="one"), "x-ms-client-request-id": None},
        ),
        Case(
            "x-ms-client-request-id stands in for the legacy id",
            body=b"x",
            sent=ids(x_request_id="one", x_ms_client_request_id="two"),
            headers=ids(x_request_id="one", x_ms_request_id="two", x_ms_client_request_id="two"),
        ),
        Case(
            "the legacy id stands in for x-ms-client-request-id",
            body=b"x",
            sent=ids(x_request_id="one", x_ms_request_id="three"),
            headers=ids(x_request_id="one", x_ms_request_id="three", x_ms_client_request_id="three"),
        ),
        Case("TraceId is echoed", body=b"x", sent={"TraceId": "t"}, headers={"traceid": "t"}),
        Case("an id of 100 characters", body=b"x", sent=ids(x_request_id="i" * 100)),
        Case("an id of 101 characters", body=b"x", sent=ids(x_request_id="i" * 101), status=431),
        Case("a client id of 101", body=b"x", sent=ids(x_ms_client_request_id="i" * 101), status=431),
        Case("a legacy id of 101", body=b"x", sent=ids(x_ms_request_id="i" * 101), status=431),
        Case(
            "no CORS headers by default",
            body=b"x",
            sent={"Origin": "https://a.example"},
            headers={"access-control-allow-origin": None},
        ),
        Case(
            "the default description is OpenAPI 2",
            "GET",
            "/swagger.json",
            check=lambda document: document["swagger"] == "2.0",
        ),
        Case(
            "OpenAPI 3",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: document["openapi"].startswith("3.0."),
        ),
        Case(
            "OpenAPI 3.1",
            "GET",
            "/swagger.json?version=3.1",
            check=lambda document: document["openapi"] == "3.1.0",
        ),
        Case("an unknown version", "GET", "/swagger.json?version=4", status=404),
        Case(
            "the schema of a plain driver allows any object",
            "GET",
            "/swagger.json",
            check=lambda document: document["definitions"]["ServiceInput"]["type"] == "object",
        ),
        Case(
            "readiness",
            "GET",
            "/ready",
            text="Ready",
            why="The peer has one probe only, so that a slow init() or a stuck run() fails liveness.",
        ),
        Case(
            "metrics",
            "GET",
            "/metrics",
            headers={"content-type": "text/plain; version=0.0.4; charset=utf-8"},
            why="The peer has no such path.",
        ),
        Case("the docs page", "GET", "/docs", why="The peer has no such path."),
    ),
)

HEADERS = Group(
    "request_headers",
    drivers.HEADERS,
    (
        Case("a header", body=b"X-Colour", sent={"x-colour": "red"}, json="red"),
        Case(
            "the spelling of WSGI servers",
            body=b"Content-Type",
            sent={"content-type": "text/x"},
            json="text/x",
        ),
        Case(
            "x-request-id, also a generated one",
            body=b"X-Request-Id",
            check=lambda value: isinstance(value, str),
            why="The runtime passes a generated id to the driver, too; the peer passes the client's only.",
        ),
    ),
)

SCHEMA = Group(
    "inference_schema, Python types",
    drivers.SCHEMA,
    (
        Case(
            "the fields are the arguments",
            body=b'{"name": "a", "count": 3}',
            sent=JSON,
            json={"repeated": "aaa"},
        ),
        Case("a default is honoured", body=b'{"name": "a"}', sent=JSON, json={"repeated": "aa"}),
        Case("more fields are ignored", body=b'{"name": "a", "x": 1}', sent=JSON, json={"repeated": "aa"}),
        Case("a missing parameter", body=b'{"count": 3}', sent=JSON, status=400),
        Case("no JSON", body=b"{", sent=JSON, status=400),
        Case("an empty body", body=b"", sent=JSON, status=400),
        Case("not an object", body=b"[1]", sent=JSON, status=400),
        Case("another content type", body=b'{"name": "a"}', sent={"content-type": "text/plain"}, status=415),
        Case("no content type", body=b'{"name": "a"}', status=415),
        Case(
            "JSON with parameters and suffix",
            body=b'{"name": "a"}',
            sent={"content-type": "application/x+json; charset=utf-8"},
            json={"repeated": "aa"},
        ),
        Case("GET gives the arguments", "GET", "/score?name=a&count=3", json={"repeated": "aaa"}),
        Case("GET with a missing parameter", "GET", "/score?count=3", status=400),
        Case("GET needs no content type", "GET", "/score?name=a", json={"repeated": "aa"}),
        Case(
            "a value of another type",
            body=b'{"name": 7}',
            sent=JSON,
            status=400,
            headers={"x-ms-run-function-failed": None},
            why="The decorators convert inside the call of run(): the peer reports an error of the driver.",
        ),
        Case(
            "run() itself raises",
            body=b'{"name": "raise"}',
            sent=JSON,
            status=500,
            json=SCRIPT_ERROR,
            headers=FAILED,
        ),
        Case(
            "the schema in OpenAPI 2",
            "GET",
            "/swagger.json",
            check=lambda document: (
                document["definitions"]["ServiceInput"]["example"] == {"name": "Ann", "count": 3}
            ),
        ),
        Case(
            "the schema in OpenAPI 3",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: (
                document["components"]["schemas"]["ServiceInput"]["properties"]["name"]["type"] == "string"
            ),
        ),
        Case(
            "the output's schema",
            "GET",
            "/swagger.json?version=3.1",
            check=lambda document: (
                document["components"]["schemas"]["ServiceOutput"]["properties"]["repeated"]["type"]
                == "string"
            ),
        ),
    ),
)

ARRAYS = Group(
    "inference_schema, numpy and pandas",
    drivers.ARRAYS,
    (
        Case(
            "converted to their types",
            body=b'{"matrix": [[1, 2], [3, 4]], "table": [{"age": 1}, {"age": 2}]}',
            sent=JSON,
            json=[10.0, 3],
        ),
        Case(
            "of another shape",
            body=b'{"matrix": {"a": 1}, "table": [{"age": 1}]}',
            sent=JSON,
            status=400,
            why="As above: the peer responds with 500.",
        ),
        Case(
            "samples",
            "GET",
            "/swagger.json",
            check=lambda document: (
                document["definitions"]["ServiceInput"]["example"]["matrix"] == [[1.0, 2.0]]
            ),
        ),
    ),
)

RAW = Group(
    "@rawhttp",
    drivers.RAW,
    (
        Case("an ordinary result", body=b"", json="plain"),
        Case("the method", "GET", "/score?what=method", json="GET"),
        Case(
            "headers in any spelling",
            path="/score?what=header",
            body=b"",
            sent={"X-COLOUR": "red"},
            json="red",
        ),
        Case("a JSON body", path="/score?what=json", body=b'{"a": 1}', sent=JSON, json=1),
        Case(
            "a form with a file",
            path="/score?what=file",
            body=MULTIPART,
            sent={"content-type": "multipart/form-data; boundary=b"},
            json="filevalue",
        ),
        Case(
            "bytes in, bytes out",
            path="/score?what=bytes",
            body=b"abc",
            text="cba",
            headers={"content-type": "image/png", **PASSED},
        ),
        Case("a status", path="/score?what=status", body=b"", status=418, text="no", headers=PASSED),
        Case(
            "a failure that the driver declares",
            path="/score?what=fail",
            body=b"",
            status=503,
            headers=FAILED,
        ),
        Case(
            "JSON and headers",
            path="/score?what=jsonresponse",
            body=b"",
            status=201,
            json={"a": 1},
            headers={"content-type": "application/json", "x-colour": "red"},
        ),
        Case("None is an empty object", path="/score?what=empty", body=b"", json={}),
        Case(
            "run() raises", path="/score?what=raise", body=b"", status=500, json=SCRIPT_ERROR, headers=FAILED
        ),
        Case("OPTIONS is the driver's to answer", "OPTIONS", "/score", json="plain"),
        Case(
            "a bad JSON body is the driver's to handle",
            path="/score?what=json",
            body=b"{",
            sent=JSON,
            status=500,
            json=SCRIPT_ERROR,
            headers=FAILED,
        ),
    ),
)

OLD_IMPORTS = Group(
    "azureml.contrib.services",
    drivers.OLD_IMPORTS,
    (Case("an AMLResponse by the legacy imports", path="/score?what=bytes", body=b"abc", text="cba"),),
)

CORS = Group(
    "AML_CORS_ORIGINS",
    drivers.ECHO,
    (
        Case(
            "a listed origin",
            body=b"x",
            sent={"Origin": "https://a.example"},
            headers={"access-control-allow-origin": "https://a.example"},
        ),
        Case(
            "another origin",
            body=b"x",
            sent={"Origin": "https://c.example"},
            headers={"access-control-allow-origin": None},
        ),
        Case(
            "a preflight",
            "OPTIONS",
            "/score",
            sent={"Origin": "https://b.example", "Access-Control-Request-Method": "POST"},
            headers={"access-control-allow-origin": "https://b.example"},
        ),
    ),
    {"AML_CORS_ORIGINS": "https://a.example, https://b.example"},
)

TIMEOUT = Group(
    "SCORING_TIMEOUT_MS",
    drivers.SLOW,
    (
        Case("in time", body=b"0", json="done"),
        Case(
            "too late",
            body=b"3",
            status=500,
            json={"message": "Scoring timeout after 500 ms"},
            headers=FAILED,
        ),
    ),
    {"SCORING_TIMEOUT_MS": "500"},
)

OWN_SWAGGER = Group(
    "swagger files of the driver's folder",
    drivers.ECHO,
    (
        Case("swagger.json is version 2", "GET", "/swagger.json", json={"mine": 2}),
        Case("swagger3.json", "GET", "/swagger.json?version=3", json={"mine": 3}),
        Case(
            "a version without a file is generated",
            "GET",
            "/swagger.json?version=3.1",
            check=lambda document: document["openapi"] == "3.1.0",
        ),
    ),
    files={"swagger.json": '{"mine": 2}', "swagger3.json": '{"mine": 3}'},
)

HINTS = Group(
    "type hints",
    drivers.HINTS,
    (
        Case(
            "fields by their hints",
            body=b'{"numbers": [1, 2], "scale": 2}',
            sent=JSON,
            json=[2.0, 4.0],
            why="The peer does not read type hints: run() gets the text, and fails.",
        ),
        Case(
            "a value of another type",
            body=b'{"numbers": ["a"]}',
            sent=JSON,
            status=400,
            why="As above.",
        ),
        Case(
            "the schema in OpenAPI",
            "GET",
            "/swagger.json",
            check=lambda document: document["definitions"]["ServiceInput"].get("required") == ["numbers"],
            why="As above.",
        ),
    ),
)

ARRAY_HINTS = Group(
    "type hints of numpy, pandas and pydantic",
    drivers.ARRAY_HINTS,
    (
        Case(
            "an array, a table, a default",
            body=b'{"matrix": [[1, 2], [3, 4]], "table": [{"age": 1}, {"age": 3}]}',
            sent=JSON,
            json=[8.0, 12.0],
        ),
        Case(
            "a table by columns, a model",
            body=b'{"matrix": [[1]], "table": {"columns": ["age"], "data": [[2]]}, "options": {"scale": 3}}',
            sent=JSON,
            json=[6.0],
        ),
        Case(
            "an array of irregular shape",
            body=b'{"matrix": [[1], [2, 3]], "table": [{"age": 1}]}',
            sent=JSON,
            status=400,
        ),
        Case(
            "an array of texts",
            body=b'{"matrix": [["a"]], "table": [{"age": 1}]}',
            sent=JSON,
            status=400,
        ),
        Case("a number for a table", body=b'{"matrix": [[1]], "table": 1}', sent=JSON, status=400),
        Case(
            "a value that the model refuses",
            body=b'{"matrix": [[1]], "table": [{"age": 1}], "options": {"scale": -1}}',
            sent=JSON,
            status=400,
            check=lambda document: "options" in document["message"],
        ),
        Case(
            "the schema in OpenAPI",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: (
                document["components"]["schemas"]["ServiceInput"]["properties"]["options"]["properties"][
                    "scale"
                ]["type"]
                == "number"
            ),
        ),
    ),
    why="The peer does not read type hints: run() gets the text, and fails.",
)

OLD_WHEELS = Group(
    "a driver with old versions of the server's packages",
    drivers.OLD_WHEELS,
    (
        Case(
            "driver and server each have their own version",
            body=b'{"numbers": [1, 2]}',
            sent=JSON,
            json={"sum": 3.0, "versions": ["0.19.0", "0.6.1", "1.10.24"]},
        ),
        Case("hints work without pydantic 2", body=b'{"numbers": ["a"]}', sent=JSON, status=400),
        Case("readiness", "GET", "/ready", text="Ready"),
    ),
)
"""For the runtime only, in an environment of its own: the peer cannot be installed with pydantic 1."""

STARTS = tuple(
    Group(f"start: {name}", driver, exit_code=3)
    for name, driver in (
        ("the import fails", drivers.BROKEN_IMPORT),
        ("init() fails", drivers.BROKEN_INIT),
        ("there is no run()", drivers.NO_RUN),
        ("run() has *args", drivers.TWO_STARS),
        ("@rawhttp and a schema", drivers.BOTH_DECORATORS),
    )
)

GROUPS = (
    PLAIN, HEADERS, SCHEMA, ARRAYS, RAW, OLD_IMPORTS, CORS, TIMEOUT, OWN_SWAGGER, HINTS, ARRAY_HINTS,
    *raw_cases.GROUPS, *process_cases.GROUPS, *value_cases.GROUPS, *stream_cases.GROUPS,
    *coding_cases.GROUPS, *async_cases.GROUPS, *STARTS,
)  # fmt: skip

RAW_GROUPS = (RAW, OLD_IMPORTS, *raw_cases.GROUPS, stream_cases.RESPONSES, async_cases.RAW)
"""Also run with the peer's package among the driver's own: its classes are then those of Flask."""
