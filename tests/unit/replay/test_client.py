"""Requests to the target of a replay."""

from __future__ import annotations

import math
import ssl
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.support.certificates import certificate_for
from tests.support.collected_rows import collected_row
from tests.support.web_server import Response, WebServer

from modelyard.rate_limit import RateLimit
from modelyard.replay import client as client_module
from modelyard.replay.client import NoResponse, ReplayClient, Target
from modelyard.replay.client import Response as Answer
from modelyard.replay.errors import ReplayError
from modelyard.replay.requests import CollectedRequest, as_request


def _request(**changes: object) -> CollectedRequest:
    request = as_request(collected_row(1, '{"data": [1]}', [1], requestBytes=None) | changes)
    assert isinstance(request, CollectedRequest)
    return request


class _Client:
    """A client whose waits take no time."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self.waits: list[float] = []
        self.retries = 0

    async def ask(self, request: CollectedRequest) -> Answer | NoResponse:
        async def sleep(seconds: float) -> None:
            self.waits.append(seconds)

        async with ReplayClient(self.target, 2, RateLimit(math.inf), sleep) as client:
            try:
                return await client.ask(request)
            finally:
                self.retries = client.retries


async def test_request_is_sent_as_it_was_collected(web: WebServer) -> None:
    web.respond = lambda _: Response(200, b"[2]")
    client = _Client(Target(f"{web.url}/m/score", "s3cret"))

    answer = await client.ask(_request(requestType="text/csv"))

    assert isinstance(answer, Answer)
    assert (answer.status, answer.body) == (200, b"[2]")
    [sent] = web.requests
    assert (sent.method, sent.path, sent.body) == ("POST", "/m/score", b'{"data": [1]}')
    assert sent.headers["content-type"] == "text/csv"
    assert sent.headers["authorization"] == "Bearer s3cret"
    assert sent.headers["x-ms-client-request-id"] == "r1"


async def test_request_without_a_body_has_its_query(web: WebServer) -> None:
    web.respond = lambda _: Response(200)

    await _Client(Target(f"{web.url}/score")).ask(_request(method="GET", inputs="a=1&b=%20x"))

    [sent] = web.requests
    assert (sent.method, sent.path) == ("GET", "/score?a=1&b=%20x")
    assert "authorization" not in sent.headers


@pytest.mark.parametrize(("model", "path"), [(None, "/v2/models/m/infer"), ("new", "/v2/models/new/infer")])
async def test_inference_request_goes_to_its_own_address(
    web: WebServer, model: str | None, path: str
) -> None:
    web.respond = lambda _: Response(200)

    await _Client(Target(f"{web.url}/score", model_name=model)).ask(_request(operation="infer"))

    assert web.requests[0].path == path


async def test_busy_target_is_asked_again_after_its_own_wait(web: WebServer) -> None:
    answers = iter([Response(503, headers={"Retry-After": "3"}), Response(429), Response(200, b"1")])
    web.respond = lambda _: next(answers)
    client = _Client(Target(f"{web.url}/score"))

    answer = await client.ask(_request())

    assert isinstance(answer, Answer)
    assert answer.body == b"1"
    assert client.retries == 2
    assert client.waits[0] >= 3


async def test_target_that_stays_busy_gives_no_response(web: WebServer) -> None:
    web.respond = lambda _: Response(503)

    assert await _Client(Target(f"{web.url}/score")).ask(_request()) is NoResponse.BUSY
    assert len(web.requests) == 6


async def test_collected_503_of_the_driver_is_a_response(web: WebServer) -> None:
    web.respond = lambda _: Response(503)

    answer = await _Client(Target(f"{web.url}/score")).ask(_request(status=503))

    assert isinstance(answer, Answer)
    assert len(web.requests) == 1


@pytest.mark.parametrize("status", [401, 403])
async def test_refused_key_ends_the_replay(web: WebServer, status: int) -> None:
    web.respond = lambda _: Response(status)

    with pytest.raises(ReplayError, match="refuses the key"):
        await _Client(Target(f"{web.url}/score")).ask(_request())


async def test_broken_connection_is_tried_again(web: WebServer) -> None:
    answers = iter([Response(200, b"whole", drop_after=2), Response(200, b"whole")])
    web.respond = lambda _: next(answers)

    answer = await _Client(Target(f"{web.url}/score")).ask(_request())

    assert isinstance(answer, Answer)
    assert answer.body == b"whole"


async def test_target_without_a_server_gives_no_response(web: WebServer) -> None:
    url = "http://127.0.0.1:9/score"

    assert await _Client(Target(url)).ask(_request()) is NoResponse.CONNECTION


async def test_slow_target_gives_no_response(web: WebServer) -> None:
    web.respond = lambda _: Response(200)
    web.reads_after_seconds = 0.3

    client = _Client(Target(f"{web.url}/score", timeout_seconds=0.05))

    assert await client.ask(_request()) is NoResponse.TIMEOUT


async def test_response_without_an_end_is_given_up(web: WebServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_module, "_MAX_RESPONSE_BYTES", 1000)
    web.respond = lambda _: Response(200, b"x" * 1001)

    assert await _Client(Target(f"{web.url}/score")).ask(_request()) is NoResponse.TOO_LARGE


async def test_redirect_is_a_response_and_not_followed(web: WebServer) -> None:
    web.respond = lambda _: Response(302, headers={"Location": f"{web.url}/elsewhere"})

    answer = await _Client(Target(f"{web.url}/score", "s3cret")).ask(_request())

    assert isinstance(answer, Answer)
    assert (answer.status, len(web.requests)) == (302, 1)


async def test_invalid_url_ends_the_replay() -> None:
    with pytest.raises(ReplayError, match="not a URL of scoring"):
        await _Client(Target("no url")).ask(_request())


@pytest.fixture
def tls(tmp_path: Path) -> Iterator[tuple[WebServer, Path]]:
    """An https server, and the certificate of its authority."""
    certificate = certificate_for("127.0.0.1", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.chain, certificate.key)
    server = WebServer(context)
    yield server, certificate.authority
    server.stop()


async def test_authority_of_a_file_is_trusted(tls: tuple[WebServer, Path]) -> None:
    server, authority = tls
    server.respond = lambda _: Response(200)

    assert isinstance(await _Client(Target(f"{server.url}/s", ca_file=authority)).ask(_request()), Answer)
    assert await _Client(Target(f"{server.url}/s")).ask(_request()) is NoResponse.CONNECTION
