"""Replies to responses that run() returns."""

import json

import pytest
from werkzeug.wrappers import Response

from modelyard.scoring.frames import Reply
from modelyard.scoring.worker.aml_response import AMLResponse
from modelyard.scoring.worker.results import reply_of

FAILED = "x-ms-run-function-failed"


def lines(reply: Reply, name: str) -> list[str]:
    """Return the values of the reply's header lines of this name."""
    return [value for key, value in json.loads(reply.meta) if key.lower() == name.lower()]


@pytest.mark.parametrize(
    ("response", "failed"),
    [
        (AMLResponse("x", 200), "False"),
        (AMLResponse("x", 200, run_function_failed=True), "True"),
        (AMLResponse("x", 500), "True"),
        (AMLResponse("x", 500, {FAILED: "False"}), "True"),
        (AMLResponse("x", 200, {FAILED: "True"}), "True"),
        (Response("x"), "False"),
        (Response("x", 503), "True"),
    ],
)
def test_failure_header_is_written_once(response: Response, failed: str) -> None:
    assert lines(reply_of(response), FAILED) == [failed]


def test_response_changed_after_its_creation_is_sent_as_changed() -> None:
    response = AMLResponse("x", 200)
    response.data = "y"
    response.status = "202 ACCEPTED"
    response.headers.add("A", "1")
    response.headers.add("A", "2")
    response.set_cookie("c", "v")

    reply = reply_of(response)

    assert (reply.body, reply.status, lines(reply, "a")) == (b"y", 202, ["1", "2"])
    assert lines(reply, "set-cookie") == ["c=v; Path=/"]


def test_response_is_closed_after_its_body_is_read() -> None:
    response = AMLResponse((piece for piece in ("a", "b")), 200)
    closed: list[bool] = []
    response.call_on_close(lambda: closed.append(True))

    assert reply_of(response).body == b"ab"
    assert closed == [True]


def test_response_is_closed_if_its_body_fails() -> None:
    def pieces() -> object:
        yield "a"
        raise ValueError("a detail of the driver")

    response = AMLResponse(pieces(), 200)
    closed: list[bool] = []
    response.call_on_close(lambda: closed.append(True))

    with pytest.raises(ValueError, match="a detail"):
        reply_of(response)
    assert closed == [True]


def test_message_that_is_no_body_is_refused() -> None:
    with pytest.raises(TypeError):
        reply_of(AMLResponse(5, 200))
