"""Requests and responses of @rawhttp drivers: each case is one expression or one line of code."""

from tests.conformance.scoring.case import ANY, FAILED, JSON, PASSED, SCRIPT_ERROR, Case, Group

EXPRESSIONS = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from werkzeug.exceptions import BadRequest, UnsupportedMediaType
def init(): pass
def raises(kind, function):
    try:
        function()
    except kind:
        return True
    return False
@rawhttp
def run(request):
    return eval(request.headers["x-expression"], {**globals(), "request": request})
"""

STATEMENTS = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
import datetime, numpy
def init(): pass
@rawhttp
def run(request):
    names = {**globals(), "request": request}
    exec(request.headers["x-code"], names)
    return names["r"]
"""

MICROSOFT_CORS = """
from azureml.contrib.services.aml_request import AMLRequest, rawhttp
from azureml.contrib.services.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    if request.method == "OPTIONS":
        response = AMLResponse("", 200)
        response.headers["Access-Control-Allow-Headers"] = "*"
    elif request.method == "GET":
        response = AMLResponse(request.full_path.encode(), 200)
    else:
        response = AMLResponse(request.get_data(), 200)
    response.headers["Allow"] = "OPTIONS, GET, POST"
    response.headers["Access-Control-Allow-Origin"] = "http://www.example.com"
    return response
"""
"""The shape of the driver that Azure ML's documentation has for cross-origin requests."""

MICROSOFT_CORS_CASES = Group(
    "Azure ML's example of cross-origin requests",
    MICROSOFT_CORS,
    tuple(
        Case(
            method,
            method,
            "/score?a=1",
            body,
            status=200,
            text=text,
            headers={
                "access-control-allow-origin": "http://www.example.com",
                "allow": "OPTIONS, GET, POST",
                "access-control-allow-headers": "*" if method == "OPTIONS" else None,
            },
        )
        for method, body, text in (
            ("GET", None, "/score?a=1"),
            ("POST", b"body", "body"),
            ("OPTIONS", None, ""),
        )
    ),
)

FORM = {"content-type": "application/x-www-form-urlencoded"}
PARTS = {"content-type": "multipart/form-data; boundary=b"}
QUERY = "/score?c=3&a=1&b=x&a=2&bad=%ff&d=1.5"


def part(head: str, content: bytes) -> bytes:
    """Return one part of a multipart body."""
    return b"--b\r\nContent-Disposition: form-data; " + head.encode() + b"\r\n\r\n" + content + b"\r\n"


MAIL = (
    part('name="f"; filename="a.eml"\r\nContent-Type: message/rfc822', b"Subject: a\r\n\r\nbody")
    + b"--b--\r\n"
)
INNER = (
    part('name="f"; filename="a"\r\nContent-Type: multipart/mixed; boundary=x', b"--x\r\n\r\none\r\n--x--")
    + b"--b--\r\n"
)
ENCODED = (
    part('name="f"; filename="a"\r\nContent-Transfer-Encoding: base64\r\nContent-Type: text/x', b"aGVsbG8=")
    + part('name="g"; filename="a.jpg"; filename*=utf-8\'\'%C3%BC.jpg', b"\x00\xff\r\n")
    + part('name="t"', b"text")
    + part('name="t"', "ü".encode())
    + b"--b--\r\n"
)
FILE = "request.files['f']"


def request_cases(*rows: tuple[str, object] | tuple[str, object, dict[str, object]]) -> tuple[Case, ...]:
    """Return a case for each expression, its value, and the request if it is not an empty POST."""
    cases = []
    for expression, value, *rest in rows:
        sent = dict(rest[0]) if rest else {}
        headers = {**dict(sent.pop("sent", {})), "x-expression": expression}  # type: ignore[call-overload]
        cases.append(Case(expression, **{"body": b"", **sent}, sent=headers, json=value))  # type: ignore[arg-type]
    return tuple(cases)


REQUESTS = Group(
    "the request of @rawhttp",
    EXPRESSIONS,
    request_cases(
        ("[k for k, v in request.headers if k == 'X-Colour']", ["X-Colour"], {"sent": {"x-colour": "red"}}),
        ("request.headers.get('x-number', type=int)", 7, {"sent": {"x-number": "7"}}),
        ("request.headers.get('x-none', 'nothing')", "nothing"),
        ("request.headers.getlist('x-colour')", ["red"], {"sent": {"x-colour": "red"}}),
        ("'X-COLOUR' in request.headers", True, {"sent": {"x-colour": "red"}}),
        ("dict(request.headers)['X-Colour']", "red", {"sent": {"x-colour": "red"}}),
        ("list(request.args)", ["c", "a", "b", "bad", "d"], {"path": QUERY}),
        ("request.args['a']", "1", {"path": QUERY}),
        ("request.args.getlist('a', type=int)", [1, 2], {"path": QUERY}),
        ("request.args.get('d', type=float)", 1.5, {"path": QUERY}),
        ("request.args.get('e', default=5, type=int)", 5, {"path": QUERY}),
        ("request.args.get('b', 4, int)", 4, {"path": QUERY}),
        ("request.args.to_dict()['a']", "1", {"path": QUERY}),
        ("request.args.to_dict(flat=False)['a']", ["1", "2"], {"path": QUERY}),
        (
            "[list(one) for one in request.args.items(multi=True)][1:3]",
            [["a", "1"], ["a", "2"]],
            {"path": "/score?c=3&a=1&a=2"},
        ),
        (
            "[list(one) for one in request.args.lists()][:2]",
            [["c", ["3"]], ["a", ["1", "2"]]],
            {"path": QUERY},
        ),
        ("request.args['bad']", "%FF", {"path": QUERY}),
        ("raises(KeyError, lambda: request.args['none'])", True),
        ("request.form.to_dict()", {"a": "1", "b": "ü"}, {"body": b"a=1&b=%C3%BC&a=2", "sent": FORM}),
        ("request.form.getlist('a')", ["1", "2"], {"body": b"a=1&a=2", "sent": FORM}),
        ("[request.form['a'], request.data.decode()]", ["1", ""], {"body": b"a=1", "sent": FORM}),
        ("request.get_data(as_text=True)", "a=1", {"body": b"a=1", "sent": FORM}),
        (
            "sorted(request.values.items())",
            [["a", "1"], ["q", "2"]],
            {"path": "/score?q=2", "body": b"a=1", "sent": FORM},
        ),
        (f"len({FILE}.read())", 18, {"body": MAIL, "sent": PARTS}),
        (f"[{FILE}.filename, {FILE}.mimetype]", ["a.eml", "message/rfc822"], {"body": MAIL, "sent": PARTS}),
        (f"{FILE}.read().decode()", "--x\r\n\r\none\r\n--x--", {"body": INNER, "sent": PARTS}),
        (f"{FILE}.stream.read().decode()", "aGVsbG8=", {"body": ENCODED, "sent": PARTS}),
        (f"{FILE}.headers['Content-Type']", "text/x", {"body": ENCODED, "sent": PARTS}),
        ("request.files['g'].filename", "ü.jpg", {"body": ENCODED, "sent": PARTS}),
        ("list(request.files['g'].read())", [0, 255, 13, 10], {"body": ENCODED, "sent": PARTS}),
        (
            "[request.form.getlist('t'), list(request.files)]",
            [["text", "ü"], ["f", "g"]],
            {"body": ENCODED, "sent": PARTS},
        ),
        (
            "len(request.form['t'])",
            400_000,
            {"body": part('name="t"', b"x" * 400_000) + b"--b--\r\n", "sent": PARTS},
        ),
        ("request.cookies.to_dict()", {"a": "1", "b": "2"}, {"sent": {"cookie": "a=1; b=2"}}),
        ("request.cookies.get('a', type=int)", 1, {"sent": {"cookie": "a=1; b=2"}}),
        ("request.remote_addr", "127.0.0.1"),
        (
            "list(request.access_route)",
            ["10.0.0.1", "10.0.0.2"],
            {"sent": {"x-forwarded-for": "10.0.0.1, 10.0.0.2"}},
        ),
        ("request.url", "http://h:1/score?a=ü", {"path": "/score?a=%C3%BC", "sent": {"host": "h:1"}}),
        (
            "[request.base_url, request.url_root, request.host_url, request.root_path]",
            ["http://h/score", "http://h/", "http://h/", ""],
            {"path": "/score?a=1", "sent": {"host": "h"}},
        ),
        ("[request.path, request.full_path, request.script_root]", ["/score", "/score?", ""]),
        ("[request.scheme, request.is_secure, request.host]", ["http", False, "h"], {"sent": {"host": "h"}}),
        ("request.query_string.decode()", "a=%20b", {"path": "/score?a=%20b"}),
        (
            "[request.environ[name] for name in ('REQUEST_METHOD', 'PATH_INFO', 'HTTP_X_COLOUR')]",
            ["POST", "/score", "red"],
            {"sent": {"x-colour": "red"}},
        ),
        ("request.environ['SERVER_PROTOCOL']", "HTTP/1.1"),
        (
            "[request.user_agent.string, str(request.user_agent)]",
            ["me/1", "me/1"],
            {"sent": {"user-agent": "me/1"}},
        ),
        (
            "[request.authorization.type, request.authorization.username]",
            ["basic", "u"],
            {"sent": {"authorization": "Basic dTpw"}},
        ),
        ("request.authorization.token", "abc", {"sent": {"authorization": "Bearer abc"}}),
        (
            "request.accept_mimetypes.best_match(['text/html', 'application/json'])",
            "application/json",
            {"sent": {"accept": "application/json, text/html;q=0.5"}},
        ),
        (
            "[request.referrer, request.origin, request.content_encoding]",
            ["r", "o", "identity"],
            {"sent": {"referer": "r", "origin": "o", "content-encoding": "identity"}},
        ),
        (
            "[request.content_type, request.mimetype, request.mimetype_params]",
            ["text/X; charset=y", "text/x", {"charset": "y"}],
            {"sent": {"content-type": "text/X; charset=y"}},
        ),
        ("request.content_length", 3, {"body": b"abc"}),
        ("'a' in request.if_none_match", True, {"sent": {"if-none-match": '"a"'}}),
        ("list(request.range.ranges[0])", [0, 10], {"sent": {"range": "bytes=0-9"}}),
        ("request.date.year", 2024, {"sent": {"date": "Mon, 01 Jan 2024 00:00:00 GMT"}}),
        ("request.stream.read().decode()", "abc", {"body": b"abc"}),
        ("request.input_stream.read().decode()", "abc", {"body": b"abc"}),
        ("[request.get_data().decode(), request.get_data().decode()]", ["abc", "abc"], {"body": b"abc"}),
        ("[request.is_json, request.json]", [True, {"a": 1}], {"body": b'{"a": 1}', "sent": JSON}),
        ("request.get_json(force=True)", 1, {"body": b"1"}),
        ("request.get_json(silent=True) is None", True, {"body": b"{", "sent": JSON}),
        ("raises(BadRequest, lambda: request.json)", True, {"body": b"{", "sent": JSON}),
        ("raises(UnsupportedMediaType, lambda: request.json)", True, {"body": b"{}"}),
        ("[request.is_multithread in (True, False), request.method]", [True, "POST"]),
    ),
)


def response_cases(*rows: tuple[str, dict[str, object]]) -> tuple[Case, ...]:
    """Return a case for each line of code, with the required response."""
    return tuple(
        Case(code, body=b"", sent={"x-code": code, "x-request-id": "one"}, **wanted) for code, wanted in rows
    )  # type: ignore[arg-type]


OF_X = "r = AMLResponse('x', 200); "

RESPONSES = Group(
    "AMLResponse",
    STATEMENTS,
    response_cases(
        (
            "r = AMLResponse('x', 200)",
            {"text": "x", "headers": {"content-type": "text/html; charset=utf-8", **PASSED}},
        ),
        (OF_X + "r.headers['A'] = '1'", {"text": "x", "headers": {"a": "1"}}),
        (OF_X + "r.headers.add('A', '1'); r.headers.add('A', '2')", {"repeated": {"a": ["1", "2"]}}),
        (
            OF_X + "r.headers.set('A', '1'); r.headers.extend({'B': '2'}); r.headers.update({'C': '3'})",
            {"headers": {"a": "1", "b": "2", "c": "3"}},
        ),
        (
            OF_X + "r.headers['A'] = '1'; r.headers.pop('a'); r.headers['B'] = str('A' in r.headers)",
            {"headers": {"a": None, "b": "False"}},
        ),
        (
            OF_X + "r.headers['A'] = r.headers.get('content-type')",
            {"headers": {"a": "text/html; charset=utf-8"}},
        ),
        (
            OF_X + "r.set_cookie('c', 'v', httponly=True)",
            {"repeated": {"set-cookie": ["c=v; HttpOnly; Path=/"]}},
        ),
        (
            OF_X + "r.set_cookie('a', '1'); r.set_cookie('b', '2')",
            {"repeated": {"set-cookie": ["a=1; Path=/", "b=2; Path=/"]}},
        ),
        (
            OF_X + "r.delete_cookie('c')",
            {"headers": {"set-cookie": "c=; Expires=Thu, 01 Jan 1970 00:00:00 GMT; Max-Age=0; Path=/"}},
        ),
        (OF_X + "r.data = 'y'", {"text": "y"}),
        (
            OF_X + "r.set_data(b'yy'); r.headers['A'] = str(r.content_length)",
            {"text": "yy", "headers": {"a": "2"}},
        ),
        (OF_X + "r.headers['A'] = r.get_data(as_text=True)", {"headers": {"a": "x"}}),
        (OF_X + "r.status = '202 ACCEPTED'", {"status": 202}),
        (
            OF_X + "r.status_code = 404; r.headers['A'] = r.status",
            {"status": 404, "headers": {"a": "404 NOT FOUND"}},
        ),
        (OF_X + "r.content_type = 'text/csv'", {"headers": {"content-type": "text/csv"}}),
        (OF_X + "r.mimetype = 'text/csv'", {"headers": {"content-type": "text/csv; charset=utf-8"}}),
        (
            OF_X + "r.content_encoding = 'br'; r.location = '/there'",
            {"headers": {"content-encoding": "br", "location": "/there"}},
        ),
        (OF_X + "r.access_control_allow_origin = '*'", {"headers": {"access-control-allow-origin": "*"}}),
        (
            OF_X + "r.set_etag('e'); r.cache_control.max_age = 60",
            {"headers": {"etag": '"e"', "cache-control": "max-age=60"}},
        ),
        (
            OF_X + "r.last_modified = datetime.datetime(2024, 1, 1)",
            {"headers": {"last-modified": "Mon, 01 Jan 2024 00:00:00 GMT"}},
        ),
        (OF_X + "r.call_on_close(lambda: None)", {"text": "x"}),
        (
            "r = AMLResponse({'a': 1}, 200, {}, True); r.headers['A'] = str([r.is_json, r.json])",
            {
                "json": {"a": 1},
                "headers": {"a": "[True, {'a': 1}]", "content-type": "application/json"},
            },
        ),
        ("r = AMLResponse({'azEnvironment': 'Azure'}, 201)", {"status": 201, "text": "azEnvironment"}),
        ("r = AMLResponse('x', '404 NOT FOUND')", {"status": 404}),
        ("r = AMLResponse('x', None)", {"status": 200}),
        ("r = AMLResponse(['a', b'b', 'ü'], 200)", {"text": "abü"}),
        ("r = AMLResponse((c for c in 'abc'), 200)", {"text": "abc"}),
        ("r = AMLResponse('', 204)", {"status": 204}),
        ("r = AMLResponse('x', 304)", {"status": 304}),
        (
            "r = AMLResponse('x', 200, {'B': 'a, b', 'content-type': 'text/x'})",
            {
                "repeated": {"b": ["a", "b"]},
                "headers": {"content-type": "text/x"},
                "why": "The peer sends both types, its own first.",
            },
        ),
        ("r = AMLResponse('x', 200, {'Content-Type': 'text/x'})", {"headers": {"content-type": "text/x"}}),
        (
            "r = AMLResponse('x', 200, run_function_failed=True)",
            {"repeated": {"x-ms-run-function-failed": ["True"]}},
        ),
        ("r = AMLResponse('x', 500)", {"status": 500, "repeated": {"x-ms-run-function-failed": ["True"]}}),
        (
            "r = AMLResponse('x', 500, {'x-ms-run-function-failed': 'False'})",
            {"status": 500, "repeated": {"x-ms-run-function-failed": ["True"]}},
        ),
        ("r = AMLResponse('x', 200, {'x-request-id': 'mine'})", {"repeated": {"x-request-id": ["one"]}}),
        (
            OF_X + "r.headers['x-request-id'] = 'mine'; r.headers['x-ms-request-id'] = 'mine'",
            {"repeated": {"x-request-id": ["one"], "x-ms-request-id": ["one"]}},
        ),
        ("r = AMLResponse(5, 200)", {"status": 500, "json": ANY}),
        ("r = AMLResponse([1, 2], 200)", {"status": 500, "json": ANY}),
        ("raise ValueError", {"status": 500, "json": SCRIPT_ERROR, "headers": FAILED}),
    ),
)

GROUPS = (MICROSOFT_CORS_CASES, REQUESTS, RESPONSES)
