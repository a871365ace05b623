"""Replies to responses that run() returns."""

import asyncio
import json
from collections.abc import AsyncIterator, Iterator

import pytest
from werkzeug.wrappers import Response

from modelyard.scoring.frames import RETURNED, STREAM_BEGAN, Reply
from modelyard.scoring.worker.aml_response import AMLResponse
from modelyard.scoring.worker.event_loop import EventLoop
from modelyard.scoring.worker.results import complete_reply_of, stream_of
from modelyard.scoring.worker.streams import begin_stream

FAILED = "x-ms-run-function-failed"

LOOP = EventLoop()


@pytest.fixture(scope="module", autouse=True)
def close_loop() -> Iterator[None]:
    yield
    LOOP.close()


def reply_of(result: object) -> Reply:
    """Return the reply that the worker of a plain driver sends."""
    stream = stream_of(result)
    return complete_reply_of(result) if stream is None else begin_stream(stream, LOOP)


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


def pieces_of(reply: Reply) -> list[bytes]:
    """Return all pieces of a streamed reply, and close it."""
    assert reply.pieces is not None
    try:
        return list(reply.pieces)
    finally:
        reply.pieces.close()


def test_streamed_response_is_closed_after_its_last_piece() -> None:
    response = AMLResponse((piece for piece in ("a", "b")), 200)
    closed: list[bool] = []
    response.call_on_close(lambda: closed.append(True))

    reply = reply_of(response)

    assert (reply.outcome, closed) == (STREAM_BEGAN, [])
    assert pieces_of(reply) == [b"a", b"b"]
    assert closed == [True]


@pytest.mark.parametrize("made", [0, 1])
def test_streamed_response_is_closed_if_its_body_fails(made: int) -> None:
    def pieces() -> Iterator[str]:
        yield from ["a"] * made
        raise ValueError("a detail of the driver")

    response = AMLResponse(pieces(), 200)
    closed: list[bool] = []
    response.call_on_close(lambda: closed.append(True))

    with pytest.raises(ValueError, match="a detail"):
        pieces_of(reply_of(response))
    assert closed == [True]


def test_stream_without_pieces_is_an_ordinary_reply() -> None:
    reply = reply_of(AMLResponse(iter([]), 202))
    assert (reply.outcome, reply.status, reply.pieces) == (RETURNED, 202, None)


@pytest.mark.parametrize("status", [204, 304])
def test_iterator_of_a_response_without_body_is_closed(status: int) -> None:
    response = AMLResponse((piece for piece in ("a", "b")), status)
    closed: list[bool] = []
    response.call_on_close(lambda: closed.append(True))
    assert reply_of(response).outcome == RETURNED
    assert closed == [True]


def test_async_generator_is_one_task_and_is_closed() -> None:
    tasks: list[object] = []

    async def items() -> AsyncIterator[str]:
        try:
            async with asyncio.timeout(10):
                for item in "ab":
                    tasks.append(asyncio.current_task())
                    yield item
                    await asyncio.sleep(0)
        finally:
            tasks.append(asyncio.current_task())

    assert pieces_of(reply_of(items())) == [b"a", b"b"]
    pieces = reply_of(items()).pieces
    assert pieces is not None
    pieces.close()

    assert len(set(tasks[:3])) == len(set(tasks[3:])) == 1
    assert len(tasks) == 5


def test_exception_of_an_async_generator_is_raised() -> None:
    async def items() -> AsyncIterator[str]:
        yield "a"
        raise ValueError("a detail of the driver")

    with pytest.raises(ValueError, match="a detail"):
        pieces_of(reply_of(items()))


def test_message_that_is_no_body_is_refused() -> None:
    with pytest.raises(TypeError):
        reply_of(AMLResponse(5, 200))


def test_response_of_an_async_generator_is_a_stream() -> None:
    closed = []

    async def items() -> AsyncIterator[str | bytes]:
        try:
            yield "ü"
            yield b"b"
        finally:
            closed.append(True)

    reply = reply_of(AMLResponse(items(), 201, {"Content-Type": "text/event-stream"}))

    assert (reply.outcome, reply.status) == (STREAM_BEGAN, 201)
    assert lines(reply, "content-type") == ["text/event-stream"]
    assert pieces_of(reply) == ["ü".encode(), b"b"]
    assert closed == [True]
