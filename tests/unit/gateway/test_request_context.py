"""What surrounds each call: tokens, accounts, errors, logs."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator
from typing import Any

import pytest
from tests.unit.gateway.conftest import ROOT, Api, model

from modelyard.gateway import cluster
from modelyard.kube.errors import KubeError, Unavailable, from_status


async def test_the_callers_token_and_no_other(api: Api) -> None:
    await api.post("/models", model())
    await api("GET", "/models", 200, token="viewer")
    assert {token for _, _, token in api.server.sent} == {"editor", "viewer"}


@pytest.mark.parametrize(
    "root", [ROOT.replace("/s/", "/x/"), ROOT.replace("/g/", "/x/"), ROOT + "x", ROOT[:-7] + ".."]
)
async def test_another_account(api: Api, root: str) -> None:
    answer = await api.http.get(
        f"{root}/models",
        params={"api-version": "2017-09-01-preview"},
        headers={"Authorization": "Bearer editor"},
    )
    assert answer.status_code == 404


async def test_nothing_is_read_of_somebody_unknown(api: Api) -> None:
    """A made-up token must not cost what it takes to hold a large body."""
    read = False

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        read = True
        yield b"{}"

    headers = {"Content-Type": "application/json"}
    for token in ("nobody", ""):
        await api("POST", "/models", 401, token=token, content=body(), headers=headers)
    assert not read
    await api("POST", "/models", 400, content=body(), headers=headers)
    assert read


@pytest.mark.parametrize("body", [b"{", b"[" * 100_000, b'{"name": "\xff"}', b'{"name": %s}' % (b"9" * 5000)])
async def test_a_body_that_is_no_json(api: Api, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = await api("POST", "/models", 400, content=body, headers=headers)
    assert answer.json()["code"] == "InvalidJson"


async def test_labels_that_the_caller_may_not_read_are_not_checked(api: Api) -> None:
    def refuse(method: str, path: str) -> None:
        if path.endswith("/namespaces/default"):
            raise from_status(403, {"message": "forbidden"}, None)

    api.server.fault = refuse
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
async def test_what_the_api_server_says(api: Api, error: KubeError, status: int, code: str) -> None:
    def fail(method: str, path: str) -> None:
        raise error

    await api.get("/models")
    api.server.fault = fail
    answer = await api("GET", "/models/m:1", status)
    assert answer.json()["code"] == code
    if status == 429:
        assert answer.headers["Retry-After"] == "7"


DENIED = from_status(403, {"message": 'models is forbidden: User "u" cannot get resource'}, None)


async def test_a_denial_of_an_api_server_that_starts_is_doubted(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "_PAUSE", 0)
    await api.get("/models")
    not_ready = [from_status(500, {}, None)] * 3

    def fault(method: str, path: str) -> None:
        if path == "/readyz":
            if not_ready:
                raise not_ready.pop()
        elif not_ready:
            raise DENIED

    api.server.fault = fault
    await api.get("/models")
    assert not not_ready


async def test_a_denial_of_an_api_server_that_is_ready_counts(api: Api) -> None:
    await api.get("/models")

    def fault(method: str, path: str) -> None:
        if path != "/readyz":
            raise DENIED

    api.server.fault = fault
    api.server.sent.clear()
    answer = await api("GET", "/models", 403)
    assert answer.json()["code"] == "Forbidden"
    assert len(api.server.sent) == 3  # the call, the question whether it is ready, the call


def _say_of_readiness(api: Api, status: int | None) -> None:
    def fault(method: str, path: str) -> None:
        if status is not None:
            raise from_status(status, {}, None) if status else Unavailable("gone")

    api.server.fault = fault


@pytest.mark.parametrize(
    ("status", "doubts"), [(None, False), (401, False), (404, False), (403, True), (500, True), (0, True)]
)
async def test_when_a_denial_is_doubted(api: Api, status: int | None, doubts: bool) -> None:
    _say_of_readiness(api, status)
    assert await api.server.doubts(3) is doubts
    assert not await api.server.doubts(10)


async def test_an_api_server_that_never_says_whether_it_is_ready_is_doubted_for_long_only_once(
    api: Api,
) -> None:
    _say_of_readiness(api, 403)
    assert [await api.server.doubts(seconds) for seconds in (3, 7)] == [True, False]
    assert [await api.server.doubts(seconds) for seconds in (1, 3)] == [True, False]
    _say_of_readiness(api, None)  # it does say it, after all: it had begun slowly
    await api.server.doubts(0)
    _say_of_readiness(api, 403)
    assert await api.server.doubts(3)


async def test_causes_become_details(api: Api) -> None:
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

    api.server.fault = fail
    body = (await api("POST", "/models", 400, json=model())).json()
    assert body["details"][0] == {"code": "FieldValueInvalid", "message": "url: bad url"}
    assert "sig=S" not in str(body)


async def test_what_breaks_inside(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    secret = "SEC" + "RET"

    def fail(method: str, path: str) -> None:
        raise RuntimeError(secret)

    api.server.fault = fail
    answer = await api("GET", "/models", 500)
    assert answer.json()["code"] == "InternalError"
    assert answer.headers["x-ms-request-id"] in caplog.text
    assert secret not in caplog.text + answer.text


async def test_no_log_has_a_token_a_query_or_a_body(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    await api("POST", "/models", 200, json=model(url="https://h/m?sig=SIGNATURE"))
    await api("POST", "/models", 400, json=model(url="ftp://h/m?sig=SIGNATURE"))
    await api("GET", "/models", 200, params={"tag": "SIGNATURE"})
    own = [record for record in caplog.records if not record.name.startswith("httpx")]
    said: Any = [{**vars(record), "text": record.getMessage()} for record in own]
    assert said
    assert "SIGNATURE" not in str(said)
    assert "editor" not in str(said)


async def test_probes(api: Api) -> None:
    for path in ("healthz", "readyz"):
        assert (await api.http.get(f"http://gateway/{path}")).status_code == 200

    def fail(method: str, path: str) -> None:
        raise Unavailable("gone")

    api.server.fault = fail
    assert (await api.http.get("http://gateway/healthz")).status_code == 200
    assert (await api.http.get("http://gateway/readyz")).status_code == 503
