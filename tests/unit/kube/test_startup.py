"""Denials of an API server that is starting, and denials that are final."""

from __future__ import annotations

import pytest
from tests.unit.kube.fake_transport import NO_RESPONSE, FakeTransport

from modelyard.kube.startup import StartupCheck


@pytest.mark.parametrize(
    ("status", "is_starting"),
    [(200, False), (401, False), (404, False), (403, True), (500, True), (NO_RESPONSE, True)],
)
async def test_api_server_is_starting_while_readyz_fails(status: int, is_starting: bool) -> None:
    check = StartupCheck(FakeTransport(status))
    assert await check.is_starting(3) is is_starting
    assert not await check.is_starting(10)


async def test_readyz_is_read_without_a_token() -> None:
    transport = FakeTransport(200)
    await StartupCheck(transport).is_starting(0)
    (request,) = transport.requests
    assert (request.path, request.token) == ("/readyz", None)


async def test_api_server_that_hides_readyz_gets_a_long_time_only_once() -> None:
    transport = FakeTransport(403)
    check = StartupCheck(transport)
    assert [await check.is_starting(seconds) for seconds in (3, 7)] == [True, False]
    assert [await check.is_starting(seconds) for seconds in (1, 3)] == [True, False]
    transport.statuses = [200]  # it does not hide /readyz: its start took long
    await check.is_starting(0)
    transport.statuses = [403]
    assert await check.is_starting(3)
