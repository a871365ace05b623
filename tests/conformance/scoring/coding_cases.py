"""Packed request bodies and responses. The peer knows no content coding."""

import gzip

from tests.conformance.scoring.case import JSON, Case, Group

PLAIN = """
def init(): pass
def run(data):
    return "a" * 5000 if data == "large" else data
"""

HINT = """
def init(): pass
def run(name: str, count: int = 1) -> str:
    return name * count
"""

RAW = """
from azureml_inference_server_http.api.aml_request import AMLRequest, rawhttp
from azureml_inference_server_http.api.aml_response import AMLResponse
def init(): pass
@rawhttp
def run(request):
    if request.args.get("what") == "packed":
        return AMLResponse(b"a" * 5000, 200, {"Content-Encoding": "br"})
    text = request.get_data().decode("latin-1")
    return [text, request.content_length, request.headers.get("Content-Encoding")]
"""

GZIP = {"content-encoding": "gzip"}
ACCEPTS = {"accept-encoding": "gzip"}

_UNPACKED = "The peer passes packed bytes on, which are no UTF-8."
_RAW = (
    "The peer passes packed bytes on. A driver that unpacks by the header Content-Encoding works with both."
)

GROUPS = (
    Group(
        "content codings, plain driver",
        PLAIN,
        (
            Case(
                "a gzip body", body=gzip.compress(b"hello", mtime=0), sent=GZIP, json="hello", why=_UNPACKED
            ),
            Case("identity", body=b"hello", sent={"content-encoding": "identity"}, json="hello"),
            Case(
                "an incomplete gzip body", body=gzip.compress(b"hello", mtime=0)[:-3], sent=GZIP, status=400
            ),
            Case(
                "an unsupported coding",
                body=b"hello",
                sent={"content-encoding": "br"},
                status=415,
                headers={"accept-encoding": "gzip, deflate"},
                why="The peer ignores Content-Encoding, so that run() gets packed bytes as text.",
            ),
            Case(
                "a response for a client that accepts gzip",
                body=b"large",
                sent=ACCEPTS,
                headers={**GZIP, "vary": "Accept-Encoding"},
                why="The peer sends all responses unpacked.",
            ),
            Case(
                "a response for a client that refuses gzip",
                body=b"large",
                sent={"accept-encoding": "gzip;q=0"},
                headers={"content-encoding": None},
                json="a" * 5000,
            ),
            Case("a small response", body=b"x", sent=ACCEPTS, headers={"content-encoding": None}, json="x"),
        ),
    ),
    Group(
        "content codings, type hints",
        HINT,
        (
            Case(
                "a gzip body",
                body=gzip.compress(b'{"name": "a", "count": 2}', mtime=0),
                sent={**JSON, **GZIP},
                json="aa",
                why="The peer knows no hints, and no content coding.",
            ),
        ),
    ),
    Group(
        "content codings, @rawhttp",
        RAW,
        (
            Case(
                "a gzip body",
                body=gzip.compress(b"hello", mtime=0),
                sent=GZIP,
                json=["hello", 5, None],
                why=_RAW,
            ),
            Case(
                "a packed response of the driver",
                path="/score?what=packed",
                body=b"",
                sent=ACCEPTS,
                headers={"content-encoding": "br"},
                text="a" * 5000,
            ),
        ),
    ),
)
