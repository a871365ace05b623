"""The process of a driver: imports, environment, logs, time limits. Request targets, origins, messages."""

from tests.conformance.scoring.case import FAILED, JSON, Case, Group

EVALUATE = """
import json, logging, os, secrets, statistics, sys, time
import helper
def init(): pass
def run(data):
    return eval(data)
"""

PLACE = Group(
    "files beside the driver, and its environment",
    EVALUATE,
    (
        Case(
            "a file does not replace a module of the standard library",
            body=b"len(secrets.token_hex(2))",
            json=4,
        ),
        Case(
            "the driver's folder is the last but the source directory",
            body=b"sys.path[-2] == os.getcwd()",
            json=True,
        ),
        Case("AZUREML_SOURCE_DIRECTORY", body=b"helper.answer", json=42),
        Case("logging.json", body=b"logging.getLogger('mine').level", json=10),
        Case("half a surrogate pair can be printed", body=b"print(chr(0xd800))", status=200),
        Case("AML_APP_INSIGHTS_ENABLED", body=b"os.environ['AML_APP_INSIGHTS_ENABLED']", json="false"),
        Case("WORKER_COUNT", body=b"os.environ['WORKER_COUNT']", json="1"),
        Case("SERVER_PORT", body=b"os.environ['SERVER_PORT'].isdecimal()", json=True),
        Case("HEALTH_PORT", body=b"os.environ['HEALTH_PORT'].isdecimal()", json=True),
        Case(
            "the version of the server's package",
            body=b"__import__('azureml_inference_server_http').__version__",
            json="1.5.1",
        ),
        Case(
            "x-ms-server-version",
            body=b"1",
            headers={"x-ms-server-version": None},
            why="It names the peer and its version. The runtime does not tell clients its version.",
        ),
        Case(
            "WORKER_TIMEOUT, in seconds",
            body=b"time.sleep(4)",
            status=500,
            headers=FAILED,
            why="gunicorn ends the worker, which sends no header of the contract.",
        ),
    ),
    {"AZUREML_SOURCE_DIRECTORY": "src", "AML_APP_INSIGHTS_ENABLED": "nonsense", "WORKER_TIMEOUT": "2"},
    {
        "secrets.py": "raise ImportError('the file of the driver')\n",
        "src/helper.py": "answer = 42\n",
        "logging.json": '{"version": 1, "loggers": {"mine": {"level": "DEBUG"}}}',
    },
)

TARGETS = Group(
    "request targets and ids",
    EVALUATE.replace("import helper\n", ""),
    (
        Case("with a host", path="http://h/score", body=b"1", json=1),
        Case("with escapes", path="/%73core", body=b"1", json=1),
        Case("with two slashes", path="//score", body=b"1", json=1),
        Case(
            "a client's id that is too long leaves the request's",
            body=b"1",
            sent={"x-request-id": "one", "x-ms-client-request-id": "i" * 101},
            status=431,
            json={"message": "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"},
            headers={"x-request-id": "one"},
        ),
        Case(
            "errors of the client",
            body=b"\xff",
            status=400,
            headers={"x-ms-run-function-failed": None},
            why="The peer says False. The header is about run(), which was not called.",
        ),
        Case("HEAD", "HEAD", "/score", status=405),
    ),
)

CORS_PATTERNS = Group(
    "regular expressions in AML_CORS_ORIGINS",
    EVALUATE.replace("import helper\n", ""),
    tuple(
        Case(
            f"{name} {path}",
            method,
            path,
            body,
            sent={"Origin": origin, "Access-Control-Request-Method": "GET"},
            headers={"access-control-allow-origin": allowed},
            why=why,
        )
        for name, method, path, body, origin, allowed, why in (
            ("a match:", "POST", "/score", b"1", "https://a.contoso.com", "https://a.contoso.com", ""),
            ("a match:", "GET", "/swagger.json", None, "https://a.contoso.com", "https://a.contoso.com", ""),
            ("a match:", "GET", "/", None, "https://a.contoso.com", "https://a.contoso.com", ""),
            (
                "a preflight:",
                "OPTIONS",
                "/swagger.json",
                None,
                "https://a.contoso.com",
                "https://a.contoso.com",
                "",
            ),
            ("no match:", "POST", "/score", b"1", "https://a.example", None, ""),
            (
                "an origin that only begins like the pattern:",
                "POST",
                "/score",
                b"1",
                "https://a.contoso.com.attacker.example",
                None,
                "The peer lets in every host that begins like the pattern.",
            ),
        )
    ),
    {"AML_CORS_ORIGINS": r"https://.*\.contoso\.com"},
)

NO_LIMIT = Group(
    "SCORING_TIMEOUT_MS=0 and a file config.json",
    "import time\ndef init(): pass\ndef run(data): time.sleep(float(data)); return 'done'\n",
    (Case("0 is no limit", body=b"0.5", json="done"),),
    {"SCORING_TIMEOUT_MS": "0"},
    {"config.json": '{"SCORING_TIMEOUT_MS": 100}'},
)

CONFIG_FILE = Group(
    "config.json beside the driver",
    NO_LIMIT.driver,
    (
        Case(
            "is a file of the model",
            body=b"0.5",
            json="done",
            why="The peer reads settings from it. Files of models have this name.",
        ),
    ),
    files={"config.json": '{"SCORING_TIMEOUT_MS": 100}'},
)

CATCHES = Group(
    "run() catches TimeoutError",
    """
import time
def init(): pass
def run(data):
    try:
        time.sleep(3)
    except TimeoutError:
        return "caught"
""",
    (
        Case(
            "the limit ends the worker",
            body=b"",
            status=500,
            headers=FAILED,
            why="The peer raises in run() by a signal, which neither C code nor a second thread notices.",
        ),
    ),
    {"SCORING_TIMEOUT_MS": "500"},
)

HEAD_OF_RAW = Group(
    "HEAD for @rawhttp",
    "from azureml.contrib.services.aml_request import rawhttp\ndef init(): pass\n"
    "@rawhttp\ndef run(request): return request.method\n",
    (
        Case(
            "is refused",
            "HEAD",
            "/score",
            status=405,
            why="The peer calls run(), and drops the body. Each scoring request is a POST or GET.",
        ),
    ),
)

WORDS = Group(
    "messages",
    """
from inference_schema.parameter_types.standard_py_parameter_type import StandardPythonParameterType
from inference_schema.schema_decorators import input_schema
def init(): pass
@input_schema("name", StandardPythonParameterType("Ann"))
def run(name): return name
""",
    (
        *tuple(
            Case(name, method, path, body, JSON, status=status, json={"message": message}, why="Other words.")
            for name, method, path, body, status, message in (
                (
                    "an empty body",
                    "POST",
                    "/score",
                    b"",
                    400,
                    "The body is empty. It should be a JSON object.",
                ),
                ("no object", "POST", "/score", b"[]", 400, "The body should be a JSON object."),
                (
                    "no JSON",
                    "POST",
                    "/score",
                    b"{",
                    400,
                    "The body cannot be decoded as JSON: Expecting property name enclosed in double quotes:"
                    " line 1 column 2 (char 1)",
                ),
                (
                    "a version that does not exist",
                    "GET",
                    "/swagger.json?version=9",
                    None,
                    404,
                    "There is no OpenAPI of this version. There are: 2, 3, 3.1.",
                ),
                ("a path", "GET", "/x", None, 404, "There is nothing at this path. Scoring is at /score."),
            )
        ),
        Case(
            "a method",
            "DELETE",
            "/score",
            status=405,
            json={"message": "Method not allowed"},
            why="Other words.",
        ),
        Case(
            "OpenAPI 2 as client generators read it",
            "GET",
            "/swagger.json?version=2",
            check=lambda document: (
                document["paths"]["/swagger.json"]["get"]["parameters"][0]["type"] == "integer"
                and document["paths"]["/swagger.json"]["get"]["parameters"][0]["enum"] == [2, 3]
                and "required" not in document["paths"]["/score"]["post"]["parameters"][0]
                and document["paths"]["/score"]["post"]["security"] == [{"Bearer": []}]
            ),
        ),
        Case(
            "OpenAPI 3 as client generators read it",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: (
                document["paths"]["/swagger.json"]["get"]["parameters"][0]["schema"]
                == {"type": "integer", "enum": [2, 3]}
                and "required" not in document["paths"]["/score"]["post"]["requestBody"]
                and document["security"] == [{"Bearer": []}]
                and [*document["paths"]["/"]["get"]["responses"]["200"]["content"]] == ["text/plain"]
            ),
        ),
        Case(
            "the health check in OpenAPI 2 has a text",
            "GET",
            "/swagger.json?version=2",
            check=lambda document: document["paths"]["/"]["get"]["produces"] == ["text/plain"],
            why="The peer declares JSON, and sends HTML.",
        ),
        Case(
            "the key of /swagger.json in OpenAPI 2",
            "GET",
            "/swagger.json?version=2",
            check=lambda document: bool(document["paths"]["/swagger.json"]["get"]["security"]),
            why="The document describes the model: it needs a key. The peer has no keys.",
        ),
        Case(
            "the health check in OpenAPI 3 needs no key",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: document["paths"]["/"]["get"]["security"] == [],
            why="Probes have no key. The peer declares one for each path.",
        ),
        Case(
            "the response of /swagger.json in OpenAPI is a JSON object",
            "GET",
            "/swagger.json?version=3",
            check=lambda document: (
                [*document["paths"]["/swagger.json"]["get"]["responses"]["200"]["content"]]
                == ["application/json"]
            ),
            why="The peer declares a text, and sends JSON. Descriptions have other words.",
        ),
    ),
)

STARTS = (
    Group(
        "start: flask is not in the requirements",
        "from flask import Response\ndef init(): pass\ndef run(data): return data\n",
        exit_code=3,
        why="The driver has its own packages only, besides werkzeug. Flask belongs in the requirements.",
    ),
)

GROUPS = (
    PLACE, TARGETS, CORS_PATTERNS, NO_LIMIT, CONFIG_FILE, CATCHES, HEAD_OF_RAW, WORDS, *STARTS,
)  # fmt: skip
