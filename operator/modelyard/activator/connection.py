"""One connection of a client: its head is read, then held, then passed to a replica or refused."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from typing import Final, NamedTuple

from modelyard.activator import metrics
from modelyard.activator.destination import Destination
from modelyard.activator.held_requests import has_left
from modelyard.activator.replica import Replica, connect
from modelyard.activator.request_head import HeadError, HeadReader, is_bodiless, with_close
from modelyard.activator.responses import (
    HEAD_TIMEOUT,
    NO_REPLICAS,
    REPLICA_BROKE,
    Reason,
    Refusal,
    deadline_refusal,
    encode,
)
from modelyard.activator.splice import finish, keep_alive, splice

_READ_BYTES: Final = 8 * 1024
_SEND_SECONDS: Final = 10.0


class Deadlines(NamedTuple):
    """Seconds for the head of a request, and for a replica to take it."""

    head_seconds: float
    wake_seconds: float


class _Request(NamedTuple):
    """A head that is forwarded, and the first bytes of the body, which came with it."""

    head: bytes
    rest: bytes


class _Placed(NamedTuple):
    """A request with the replica that takes it, and the connection to the replica."""

    request: _Request
    replica: Replica
    connection: socket.socket


class _Refused(NamedTuple):
    """A request that gets an error."""

    refusal: Refusal
    bodiless: bool = False


async def serve(client: socket.socket, destination: Destination, deadlines: Deadlines) -> None:
    """Serve the first request of a connection, then close it."""
    with contextlib.closing(client), contextlib.suppress(OSError):
        keep_alive(client)
        outcome: _Placed | _Refused | None
        if refusal := destination.held.enter():
            outcome = _Refused(refusal)
        else:
            try:
                outcome = await _until_replica(client, destination, deadlines)
            finally:
                destination.held.leave()
        if isinstance(outcome, _Placed):
            await _forward(client, destination, outcome)
        elif outcome is not None:
            await _refuse(client, outcome)


async def _until_replica(
    client: socket.socket, destination: Destination, deadlines: Deadlines
) -> _Placed | _Refused | None:
    """Return a request with a connection to its replica, or its refusal; None if the client has left."""
    deadline = asyncio.get_running_loop().time() + deadlines.wake_seconds
    try:
        request = await _read_head(client, deadlines.head_seconds)
    except HeadError as error:
        return _Refused(Refusal(Reason.INVALID, error.status, error.message))
    except TimeoutError:
        return _Refused(HEAD_TIMEOUT)
    if request is None:
        return None
    bodiless = is_bodiless(request.head)
    if not destination.wakes:
        return _Refused(NO_REPLICAS, bodiless)
    try:
        async with asyncio.timeout_at(deadline):
            return await _placed(client, destination, request)
    except TimeoutError:
        return _Refused(deadline_refusal(deadlines.wake_seconds, destination.cause), bodiless)


async def _read_head(client: socket.socket, seconds: float) -> _Request | None:
    """Return a request, None if the client ends before it. Raises HeadError, and TimeoutError."""
    loop = asyncio.get_running_loop()
    reader = HeadReader()
    async with asyncio.timeout(seconds):
        while data := await loop.sock_recv(client, _READ_BYTES):
            if complete := reader.feed(data):
                return _Request(*complete)
    return None


async def _placed(client: socket.socket, destination: Destination, request: _Request) -> _Placed | None:
    """Wait for a replica that accepts a connection. A request that is not accepted is first again."""
    is_first = False
    while True:
        replica = await _next_replica(client, destination, is_first=is_first)
        if replica is None:
            metrics.ABANDONED.inc()
            return None
        try:
            return _Placed(request, replica, await connect(replica.address))
        except OSError:  # also TimeoutError
            destination.free(replica, is_lost=True)
            is_first = True
        except asyncio.CancelledError:
            destination.free(replica)
            raise


async def _next_replica(client: socket.socket, destination: Destination, *, is_first: bool) -> Replica | None:
    """Return the replica whose turn it is for this connection, None if the client has left."""
    waiting = destination.held.wait(client, first=is_first)
    destination.advance()
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        if waiting.cancelled():  # by the queue
            return None
        if waiting.done():  # in the moment of the deadline
            destination.free(waiting.result())
        waiting.cancel()
        raise


async def _forward(client: socket.socket, destination: Destination, placed: _Placed) -> None:
    """Send the request to the replica, and pass bytes both ways until the response has ended."""
    metrics.FORWARDED.inc()
    try:
        with contextlib.closing(placed.connection):
            keep_alive(placed.connection)
            head = with_close(placed.request.head) + placed.request.rest
            with contextlib.suppress(OSError):
                await asyncio.get_running_loop().sock_sendall(placed.connection, head)
            count = await splice(client, placed.connection)
    finally:
        destination.free(placed.replica)
    if count:
        await finish(client)
    elif not has_left(client):
        # The request is not sent again: the replica may have scored it.
        await _refuse(client, _Refused(REPLICA_BROKE, is_bodiless(placed.request.head)))


async def _refuse(client: socket.socket, refused: _Refused) -> None:
    metrics.REFUSED.labels(reason=refused.refusal.reason).inc()
    response = encode(refused.refusal, bodiless=refused.bodiless)
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_SEND_SECONDS):
            await asyncio.get_running_loop().sock_sendall(client, response)
    await finish(client)
