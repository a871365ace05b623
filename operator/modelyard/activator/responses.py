"""The responses that the activator itself sends: errors, as JSON with a message like those of the runtime."""

from __future__ import annotations

import json
from enum import StrEnum
from http import HTTPStatus
from typing import Final, NamedTuple


class Reason(StrEnum):
    """The reason why a request was refused: a label of the metric, and bounded in number."""

    NO_REPLICAS = "no_replicas"
    DEADLINE = "deadline"
    QUEUE_FULL = "queue_full"
    TOTAL_FULL = "total_full"
    INVALID = "invalid"
    HEAD_TIMEOUT = "head_timeout"
    REPLICA_BROKE = "replica_broke"


class Refusal(NamedTuple):
    """A response with an error. `retry_after` is in seconds; None sends no such header."""

    reason: Reason
    status: int
    message: str
    retry_after: int | None = None


NO_REPLICAS: Final = Refusal(
    Reason.NO_REPLICAS,
    503,
    "numReplicas of the Service is 0, so it has no replica: set numReplicas to at least 1, or remove it",
    60,
)
QUEUE_FULL: Final = Refusal(
    Reason.QUEUE_FULL, 503, "too many requests wait for the first replica of the Service", 5
)
TOTAL_FULL: Final = Refusal(
    Reason.TOTAL_FULL, 503, "too many requests wait for the first replicas of Services", 5
)
HEAD_TIMEOUT: Final = Refusal(Reason.HEAD_TIMEOUT, 408, "the head of the request did not come in time")
REPLICA_BROKE: Final = Refusal(
    Reason.REPLICA_BROKE, 502, "the replica closed the connection before it sent a response"
)


def deadline_refusal(seconds: float, cause: str) -> Refusal:
    """Return the refusal of a request that was held for `seconds`, with the cause as far as it is known."""
    message = (
        f"no replica of the Service took the request within {seconds:g} s: {cause}."
        " `kubectl describe msvc` shows the state of the Service"
    )
    return Refusal(Reason.DEADLINE, 503, message, 10)


def encode(refusal: Refusal, *, bodiless: bool = False) -> bytes:
    """Return the bytes of a response, without its body for the method HEAD."""
    body = json.dumps({"message": refusal.message}).encode()
    lines = [
        f"HTTP/1.1 {refusal.status} {HTTPStatus(refusal.status).phrase}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Connection: close",
    ]
    if refusal.retry_after is not None:
        lines.append(f"Retry-After: {refusal.retry_after}")
    return "\r\n".join([*lines, "", ""]).encode() + (b"" if bodiless else body)
