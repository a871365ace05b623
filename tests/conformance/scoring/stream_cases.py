"""Results that go out in pieces, 0.2 s apart."""

from tests.conformance.scoring.case import PASSED, SCRIPT_ERROR, Case, Group

PIECES = """
import time

EVENTS = 'text/event-stream'

def pieces(*texts):
    for number, text in enumerate(texts):
        if number:
            time.sleep(0.2)
        if isinstance(text, Exception):
            raise text
        yield text

async def async_pieces(*texts):
    for text in pieces(*texts):
        yield text

def init(): pass
"""

OF_RESPONSES = (
    PIECES
    + """
from azureml_inference_server_http.api.aml_request import rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
from werkzeug.wrappers import Response

@rawhttp
def run(request):
    return eval(request.get_data())
"""
)

CHUNKED = {"transfer-encoding": "chunked"}

RESPONSES = Group(
    "streams in responses",
    OF_RESPONSES,
    (
        Case(
            "AMLResponse of a generator",
            body=b"AMLResponse(pieces('a', 'b', 'c'), 200)",
            pieces=("a", "b", "c"),
            headers={**CHUNKED, **PASSED, "content-type": "text/html; charset=utf-8"},
        ),
        Case(
            "AMLResponse of events",
            body=b"AMLResponse(pieces('data: a\\n\\n', 'data: b\\n\\n'), 200, {'Content-Type': EVENTS})",
            pieces=("data: a\n\n", "data: b\n\n"),
            headers={**CHUNKED, "content-type": "text/event-stream"},
        ),
        Case(
            "Response of werkzeug",
            body=b"Response(pieces(b'a', b'b'), 201, mimetype='text/x')",
            status=201,
            pieces=("a", "b"),
            headers=CHUNKED,
            why="The peer passes responses of Flask only, and refuses others as results.",
        ),
        Case(
            "a declared length",
            body=b"AMLResponse(pieces('a', 'b'), 200, {'Content-Length': '2'})",
            pieces=("a", "b"),
            headers={"content-length": "2", "transfer-encoding": None},
        ),
        Case(
            "an exception after the first piece",
            body=b"AMLResponse(pieces('a', ValueError()), 200)",
            is_cut=True,
        ),
        Case("no pieces", body=b"AMLResponse(pieces(), 200)", text=""),
        Case(
            "an exception before the first piece",
            body=b"AMLResponse(pieces(ValueError()), 200)",
            status=500,
            json=SCRIPT_ERROR,
            why="The peer sends an HTML page of an error of the server.",
        ),
    ),
)

RESULTS = Group(
    "streams of plain drivers",
    PIECES + "def run(data): return eval(data)\n",
    (
        Case("a generator of texts", body=b"pieces('a', 'b')", pieces=("a", "b"), headers=CHUNKED),
        Case(
            "a generator of values",
            body=b"pieces({'a': 1}, 2)",
            pieces=('{"a": 1}\n', "2\n"),
            headers={"content-type": "application/x-ndjson"},
        ),
        Case("an async generator", body=b"async_pieces('a', 'b')", pieces=("a", "b")),
    ),
    why="The peer's json.dumps refuses generators.",
)

GROUPS = (RESPONSES, RESULTS)
