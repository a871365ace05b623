"""The identity and the rights of a caller of the custom metrics API."""

from __future__ import annotations

from typing import Any

import pytest
from tests.unit.scaler.fake_kube import FakeTransport

from modelyard.kube.errors import KubeError
from modelyard.kube.types import Json
from modelyard.scaler.authentication import User, parse_request_headers
from modelyard.scaler.authorization import Authorization

DATA = {
    "requestheader-client-ca-file": "PEM",
    "requestheader-allowed-names": '["front-proxy-client"]',
    "requestheader-username-headers": '["X-Remote-User"]',
    "requestheader-uid-headers": '["X-Remote-Uid"]',
    "requestheader-group-headers": '["X-Remote-Group"]',
    "requestheader-extra-headers-prefix": '["X-Remote-Extra-"]',
}
SETTINGS = parse_request_headers(DATA)
HEADERS = {
    b"x-remote-user": b"jane",
    b"x-remote-uid": b"7",
    b"x-remote-group": b"team, system:masters\0dev",
    b"x-remote-extra-Scopes%2fa": b"one\0two",
}
JANE = User("jane", ("dev",), "", ())


def test_headers_of_the_api_server_name_the_user() -> None:
    user = SETTINGS.user("front-proxy-client", HEADERS)
    assert user is not None
    assert user.to_json() == {
        "user": "jane",
        "uid": "7",
        "groups": ["team, system:masters", "dev", "system:authenticated"],
        "extra": {"scopes/a": ["one", "two"]},
    }


@pytest.mark.parametrize(
    ("common_name", "headers"),
    [
        (None, HEADERS),
        ("kubelet", HEADERS),
        ("front-proxy-client", {}),
        ("front-proxy-client", {b"x-remote-user": b""}),
    ],
)
def test_nobody_else_can_name_a_user(common_name: str | None, headers: dict[bytes, bytes]) -> None:
    assert SETTINGS.user(common_name, headers) is None


def test_without_allowed_names_each_certificate_of_the_authority_counts() -> None:
    settings = parse_request_headers(DATA | {"requestheader-allowed-names": "[]"})
    assert settings.user("anything", HEADERS)
    assert settings.user(None, HEADERS) is None


@pytest.mark.parametrize("value", ["x", "{}", "[1]"])
def test_setting_that_is_not_valid_is_named(value: str) -> None:
    with pytest.raises(ValueError, match="requestheader-allowed-names"):
        parse_request_headers({"requestheader-allowed-names": value})


class Reviews:
    """An authorization over an API server that allows some namespaces."""

    def __init__(self, *namespaces: str) -> None:
        self.transport = FakeTransport()
        self.transport.allows = lambda spec: spec["resourceAttributes"]["namespace"] in namespaces
        self.now = 100.0
        self.authorization = Authorization(self.transport.client, monotonic=lambda: self.now)

    @property
    def asked(self) -> list[Json]:
        return [dict(request.body or {})["spec"] for request in self.transport.requests]


async def test_right_in_one_namespace_is_no_right_in_another() -> None:
    reviews = Reviews("a")
    assert await reviews.authorization.allows(JANE, "a", "*")
    assert not await reviews.authorization.allows(JANE, "b", "*")


async def test_review_has_the_user_and_the_metric() -> None:
    reviews = Reviews()
    await reviews.authorization.allows(JANE, "a", "m-1")
    attributes: dict[str, Any] = {
        "verb": "get",
        "group": "custom.metrics.k8s.io",
        "version": "*",
        "resource": "pods",
        "subresource": "modelyard_scoring_utilization",
        "namespace": "a",
        "name": "m-1",
    }
    assert reviews.asked == [
        {
            "user": "jane",
            "groups": ["dev"],
            "resourceAttributes": attributes | {"namespace": "", "name": "*"},
        },
        {"user": "jane", "groups": ["dev"], "resourceAttributes": attributes},
    ]


async def test_right_in_all_namespaces_takes_one_review_in_ten_seconds() -> None:
    reviews = Reviews("")
    for number in range(100):
        assert await reviews.authorization.allows(JANE, f"n{number}", "*")
    assert len(reviews.asked) == 1
    reviews.now += 10
    await reviews.authorization.allows(JANE, "n0", "*")
    assert len(reviews.asked) == 2


async def test_api_server_that_is_away_is_an_error() -> None:
    reviews = Reviews("")
    reviews.transport.is_away = True
    with pytest.raises(KubeError):
        await reviews.authorization.allows(JANE, "a", "*")
