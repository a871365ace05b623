"""Tokens, accounts, error responses, logs and probes of all requests."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.gateway.conftest import ROOT, Api, model

from modelyard.kube.errors import KubeError, Unavailable, from_status


async def test_gateway_sends_the_token_of_the_caller_only(api: Api) -> None:
    await api.post("/models", model())
    await api("GET", "/models", 200, token="viewer")
    assert {request.token for request in api.server.requests} == {"editor", "viewer"}


@pytest.mark.parametrize(
    "root", [ROOT.replace("/s/", "/x/"), ROOT.replace("/g/", "/x/"), ROOT + "x", ROOT[:-7] + ".."]
)
async def test_path_of_another_account_is_not_found(api: Api, root: str) -> None:
    response = await api.http.get(
        f"{root}/models",
        params={"api-version": "2017-09-01-preview"},
        headers={"Authorization": "Bearer editor"},
    )
    assert response.status_code == 404


async def test_body_of_an_unknown_caller_is_not_read(api: Api) -> None:
    """An invalid token must not make the gateway hold a large body in memory."""
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    headers = {"Content-Type": "application/json"}
    for token in ("nobody", "", "a\tb", "a\x7fb"):
        await api("POST", "/models", 401, token=token, content=body(), headers=headers)
    assert not read
    await api("POST", "/models", 400, content=body(), headers=headers)
    assert read


async def test_invalid_token_costs_the_api_server_one_call(api: Api) -> None:
    await api("GET", "/models", 401, token="nobody")
    assert [request.path for request in api.server.requests] == ["/api/v1/namespaces/default"]


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"name": "\xff"}', b'{"name": %s}' % (b"9" * 5000)])
async def test_body_that_is_not_json_is_rejected(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    response = await api("POST", "/models", 400, content=body, headers=headers)
    assert response.json()["code"] == "InvalidJson"


async def test_labels_that_the_caller_may_not_read_are_not_checked(api: Api) -> None:
    def forbid(method: str, path: str) -> None:
        if path.endswith("/namespaces/default"):
            raise from_status(403, {"message": "forbidden"}, None)

    api.server.before = forbid
    await api.get("/models")


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (from_status(429, {}, 7), 429, "TooManyRequests"),
        (from_status(500, {}, None), 503, "Unavailable"),
        (Unavailable("gone"), 503, "Unavailable"),
        (from_status(409, {"reason": "Conflict"}, None), 409, "Conflict"),
        (from_status(413, {}, None), 413, "RequestTooLarge"),
        (from_status(410, {}, None), 400, "InvalidSkipToken"),
    ],
)
async def test_error_of_the_api_server_is_converted(
    api: Api, error: KubeError, status: int, code: str
) -> None:
    def fail(method: str, path: str) -> None:
        raise error

    await api.get("/models")
    api.server.before = fail
    response = await api("GET", "/models/m:1", status)
    assert response.json()["code"] == code
    if status == 429:
        assert response.headers["Retry-After"] == "7"


DENIED = from_status(403, {"message": 'models is forbidden: User "u" cannot get resource'}, None)


async def test_denial_of_a_starting_api_server_is_retried(api: Api) -> None:
    await api.get("/models")
    not_ready = [from_status(500, {}, None)] * 3

    def fail(method: str, path: str) -> None:
        if path == "/readyz":
            if not_ready:
                raise not_ready.pop()
        elif not_ready:
            raise DENIED

    api.server.before = fail
    await api.get("/models")
    assert not not_ready


async def test_denial_of_a_ready_api_server_is_final(api: Api) -> None:
    await api.get("/models")

    def fail(method: str, path: str) -> None:
        if path != "/readyz":
            raise DENIED

    api.server.before = fail
    api.server.requests.clear()
    response = await api("GET", "/models", 403)
    assert response.json()["code"] == "Forbidden"
    assert len(api.server.requests) == 3  # the call, /readyz, the call


async def test_causes_of_a_rejection_become_details(api: Api) -> None:
    causes = [
        {
            "field": "spec.url",
            "reason": "FieldValueInvalid",
            "message": 'Invalid value: "https://h?sig=S": bad url',
        },
        {"field": "<nil>", "reason": "FieldValueInvalid", "message": "some rule"},
    ]

    def fail(method: str, path: str) -> None:
        if method == "POST":
            raise from_status(422, {"message": "x sig=S", "details": {"causes": causes}}, None)

    api.server.before = fail
    body = (await api("POST", "/models", 400, json=model())).json()
    assert body["details"][0] == {"code": "FieldValueInvalid", "message": "url: bad url"}
    assert "sig=S" not in str(body)


async def test_unexpected_exception_is_logged_without_its_message(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    secret = "SEC" + "RET"

    def fail(method: str, path: str) -> None:
        raise RuntimeError(secret)

    api.server.before = fail
    response = await api("GET", "/models", 500)
    assert response.json()["code"] == "InternalError"
    assert response.headers["x-ms-request-id"] in caplog.text
    assert secret not in caplog.text + response.text


async def test_log_has_the_error_of_a_failed_request_without_credentials(
    api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    text = 'failed calling webhook "quota": Post "https://quota.example.com/check?code=SIGNATURE"'

    def fail(method: str, path: str) -> None:
        raise from_status(500, {"message": text}, None)

    caplog.set_level(logging.INFO)
    await api.get("/models")
    api.server.before = fail
    await api("GET", "/models/m:1", 503)
    failed: dict[str, Any] = vars([record for record in caplog.records if record.message == "request"][-1])
    assert (failed["status"], failed["code"]) == (503, "Unavailable")
    assert failed["error"].startswith('failed calling webhook "quota"')
    assert "SIGNATURE" not in str(failed)


async def test_log_has_no_token_query_or_body(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await api("POST", "/models", 200, json=model(url="https://h/m?sig=SIGNATURE"))
    await api("POST", "/models", 400, json=model(url="ftp://h/m?sig=SIGNATURE"))
    await api("GET", "/models", 200, params={"tag": "SIGNATURE"})
    own = [record for record in caplog.records if not record.name.startswith("httpx")]
    logged: Any = [{**vars(record), "text": record.getMessage()} for record in own]
    assert logged
    assert "SIGNATURE" not in str(logged)
    assert "editor" not in str(logged)


async def test_readyz_fails_without_an_api_server(api: Api) -> None:
    for path in ("healthz", "readyz"):
        assert (await api.http.get(f"http://gateway/{path}")).status_code == 200

    def fail(method: str, path: str) -> None:
        raise Unavailable("gone")

    api.server.before = fail
    assert (await api.http.get("http://gateway/healthz")).status_code == 200
    assert (await api.http.get("http://gateway/readyz")).status_code == 503
