"""The HTTP contract of clients and drivers: one row per rule, against one running server."""

import json
import re
import uuid
from dataclasses import dataclass, field

import pytest
from tests.unit.scoring.scoring_process import Response, ScoringProcess, read_response, request_on

DRIVER = """
import os, sys, json
VALUES = {"none": None, "number": 1.5, "list": [1, "a"], "nan": float("nan"), "unserialisable": object()}
def init():
    sys.stdout.write("printed by init\\n")
def run(data, request_headers):
    if data == "raise":
        raise ValueError("a detail of the driver")
    if data == "exit":
        sys.exit(7)
    if data == "header":
        return request_headers["X-Colour"]
    if data == "print":
        print("printed by run")
    if data == "modules":
        return sorted(name for name in sys.modules if name.startswith("modelyard"))
    if data == "place":
        return [os.getcwd(), sys.path[-1]]
    return VALUES.get(data, data)
"""

FAILED = {"x-ms-run-function-failed": "True"}
NOT_FAILED = {"x-ms-run-function-failed": "False"}
SCRIPT_ERROR = {"message": "An unexpected error occurred in scoring script. Check the logs for more info."}


@dataclass(frozen=True)
class Row:
    rule: str
    method: str
    path: str
    body: bytes | None = None
    sent: dict[str, str] = field(default_factory=dict)
    status: int = 200
    text: str | None = None
    json: object = ...
    headers: dict[str, str] = field(default_factory=dict)


ROWS = [
    Row("liveness", "GET", "/", text="Healthy"),
    Row("liveness by HEAD", "HEAD", "/", headers={"content-length": "7"}),
    Row("readiness", "GET", "/ready", text="Ready"),
    Row("readiness by HEAD", "HEAD", "/ready"),
    Row("a str result is quoted", "POST", "/score", b"hello", json="hello", headers=NOT_FAILED),
    Row("the response is JSON", "POST", "/score", b"", headers={"content-type": "application/json"}),
    Row("UTF-8 is decoded", "POST", "/score", "grün ☃".encode(), json="grün ☃"),
    Row("an empty body is an empty str", "POST", "/score", b"", json=""),
    Row("a POST without a body too", "POST", "/score", None, {"Content-Length": "0"}, json=""),
    Row("the query of a POST is nothing to run()", "POST", "/score?a=1", b"x", json="x"),
    Row("None", "POST", "/score", b"none", json=None),
    Row("a number", "POST", "/score", b"number", json=1.5),
    Row("a list", "POST", "/score", b"list", json=[1, "a"]),
    Row("NaN is null", "POST", "/score", b"nan", text="null"),
    Row("request_headers", "POST", "/score", b"header", {"x-colour": "red"}, json="red"),
    Row("bad UTF-8", "POST", "/score", b"\xff\xfe", status=400),
    Row("GET gives the query as JSON", "GET", "/score?a=1&b=x", json='{"a": 1, "b": "x"}'),
    Row(
        "values are JSON where they can be",
        "GET",
        "/score?a=[1,2]&b=null&c=",
        json='{"a": [1, 2], "b": null, "c": ""}',
    ),
    Row("a repeated name is a list", "GET", "/score?a=1&a=x", json='{"a": [1, "x"]}'),
    Row("escapes", "GET", "/score?a=%C3%BC+b", json=json.dumps({"a": "ü b"})),
    Row("no query", "GET", "/score", json="{}"),
    Row(
        "a query too deep for JSON is text",
        "GET",
        "/score?a=" + "[" * 5000,
        json=json.dumps({"a": "[" * 5000}),
    ),
    Row("run() raises", "POST", "/score", b"raise", status=500, json=SCRIPT_ERROR, headers=FAILED),
    Row("run() calls sys.exit()", "POST", "/score", b"exit", status=500, json=SCRIPT_ERROR, headers=FAILED),
    Row("no JSON", "POST", "/score", b"unserialisable", status=500, json=SCRIPT_ERROR, headers=FAILED),
    Row("OPTIONS", "OPTIONS", "/score", text=""),
    Row("wrong method", "PUT", "/score", b"x", status=405, headers={"allow": "GET, POST, OPTIONS"}),
    Row("wrong method, no body", "DELETE", "/score", status=405),
    Row("wrong method for liveness", "POST", "/", b"x", status=405, headers={"allow": "GET, HEAD, OPTIONS"}),
    Row("unknown path", "GET", "/nothing", status=404),
    Row("unknown path, with a body", "POST", "/score/", b"x", status=404),
    Row("too large", "POST", "/score", b"x" * 2001, status=413),
    Row("as large as may be", "POST", "/score", b"x" * 2000, json="x" * 2000),
    Row(
        "id of 101 characters",
        "GET",
        "/score",
        None,
        {"x-request-id": "i" * 101},
        status=431,
        json={"message": "x-request-id must not exceed 100 characters"},
    ),
    Row(
        "client id of 101 characters",
        "GET",
        "/score",
        None,
        {"x-ms-client-request-id": "i" * 101},
        status=431,
        json={"message": "x-ms-request-id and x-ms-client-request-id must not exceed 100 characters"},
    ),
    Row("id of 100", "GET", "/score", None, {"x-request-id": "i" * 100}, headers={"x-request-id": "i" * 100}),
    Row(
        "x-request-id alone",
        "GET",
        "/score",
        None,
        {"x-request-id": "one"},
        headers={"x-request-id": "one", "x-ms-request-id": "one"},
    ),
    Row(
        "x-ms-client-request-id stands in for the legacy id",
        "GET",
        "/score",
        None,
        {"x-request-id": "one", "x-ms-client-request-id": "two"},
        headers={"x-request-id": "one", "x-ms-request-id": "two", "x-ms-client-request-id": "two"},
    ),
    Row(
        "the legacy id stands in for x-ms-client-request-id",
        "GET",
        "/score",
        None,
        {"x-request-id": "one", "x-ms-request-id": "three"},
        headers={"x-request-id": "one", "x-ms-request-id": "three", "x-ms-client-request-id": "three"},
    ),
    Row(
        "ids also with an error",
        "GET",
        "/nothing",
        None,
        {"x-request-id": "one"},
        404,
        headers={"x-request-id": "one"},
    ),
]


@pytest.fixture(scope="module")
def server(serve_module) -> ScoringProcess:
    return serve_module(DRIVER, {"MODELYARD_MAX_BODY_BYTES": "2000"})


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.rule)
def test_response_follows_the_contract(server: ScoringProcess, row: Row) -> None:
    response = server.request(row.method, row.path, row.body, row.sent)

    assert response.status == row.status, response
    if row.text is not None:
        assert response.body.decode() == row.text
    if row.json is not ...:
        assert response.json() == row.json
    for name, value in row.headers.items():
        assert response.headers.get(name) == value
    if row.status >= 400 and row.method != "HEAD":
        assert list(response.json()) == ["message"]


def test_missing_request_id_is_generated(server: ScoringProcess) -> None:
    responses = [server.score(b"x") for _ in range(2)]

    ids = {response.headers["x-request-id"] for response in responses}
    assert len(ids) == 2
    assert all(str(uuid.UUID(one)) == one for one in ids)


def test_run_time_header_has_three_decimals(server: ScoringProcess) -> None:
    assert re.fullmatch(r"\d+\.\d{3}", server.score(b"x").headers["x-ms-run-fn-exec-ms"])


def test_failed_run_is_logged_with_traceback_and_request_id(server: ScoringProcess) -> None:
    response = server.score(b"raise", {"x-request-id": "find-me"})

    assert b"a detail of the driver" not in response.body
    line = next(line for line in server.log_lines() if line.get("requestId") == "find-me")
    assert line["level"] == "error"
    assert 'raise ValueError("a detail of the driver")' in line["exception"]


def test_prints_of_the_driver_reach_the_log_at_once(server: ScoringProcess) -> None:
    server.score(b"print")

    assert {"printed by init", "printed by run"} <= set(server.log.splitlines())


def test_worker_loads_no_other_package_of_modelyard(server: ScoringProcess) -> None:
    loaded: list[str] = server.score(b"modules").json()

    assert {name.split(".")[1] for name in loaded if "." in name} == {"scoring"}


def test_driver_runs_in_its_own_folder(server: ScoringProcess) -> None:
    cwd, last_path = server.score(b"place").json()

    assert cwd == last_path
    assert cwd.endswith("/app")


def test_connection_stays_open_after_refusals(server: ScoringProcess) -> None:
    with server.connection() as connection:
        statuses = [
            request_on(connection, method, path, body).status
            for method, path, body in [
                ("POST", "/score", b"x"),
                ("POST", "/nothing", b"x"),
                ("PUT", "/score", b"x"),
                ("POST", "/score", b"raise"),
                ("POST", "/score", b"x"),
            ]
        ]

    assert statuses == [200, 404, 405, 500, 200]


def test_pipelined_requests_are_answered_in_order(server: ScoringProcess) -> None:
    with server.connection() as connection:
        request = b"POST /score HTTP/1.1\r\nHost: test\r\nContent-Length: 1\r\n\r\n"
        connection.sendall(request + b"1" + request + b"2")
        received = b""
        while received.count(b"HTTP/1.1 200") < 2 or not received.endswith(b'"2"'):
            received += connection.recv(65536)

    assert received.index(b'"1"') < received.index(b'"2"')


def test_chunked_body_is_scored(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(
            b"POST /score HTTP/1.1\r\nHost: test\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n3\r\ndef\r\n0\r\n\r\n"
        )
        response: Response = read_response(connection)

    assert response.json() == "abcdef"


@pytest.mark.parametrize("connection_header", ["Upgrade, HTTP2-Settings", "Upgrade, HTTP2-Settings, close"])
def test_body_of_a_request_that_offers_http_2_is_scored(
    server: ScoringProcess, connection_header: str
) -> None:
    """Java's HttpClient offers h2c by default."""
    offer = {"Connection": connection_header, "Upgrade": "h2c", "HTTP2-Settings": "AAMAAABkAAQAAP__"}
    with server.connection() as connection:
        first = request_on(connection, "POST", "/score", b"body", offer)
        assert first.json() == "body"
        if first.headers.get("connection") != "close":
            assert request_on(connection, "POST", "/score", b"next").json() == "next"
        assert (first.headers.get("connection") == "close") is connection_header.endswith("close")


def test_body_that_follows_an_upgrade_offer_later_is_scored(server: ScoringProcess) -> None:
    with server.connection() as connection:
        head = b"POST /score HTTP/1.1\r\nHost: test\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n"
        for part in (head, b"Content-Length: 4\r\n\r\n", b"bo", b"dy"):
            connection.sendall(part)
            server.request("GET", "/")  # the server has seen the part by now

        assert read_response(connection).json() == "body"


def test_connect_request_gets_400(server: ScoringProcess) -> None:
    with server.connection() as connection:
        connection.sendall(b"CONNECT example.com:443 HTTP/1.1\r\nHost: example.com\r\n\r\n")

        assert read_response(connection).status == 400
