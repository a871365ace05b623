"""Requests to registries that fail."""

from __future__ import annotations

import pytest
from tests.support.web_server import (
    Response,
    WebServer,
)

from modelyard.oci import RegistryClient
from modelyard.oci.errors import (
    RegistryForbiddenError,
    RegistryUnavailableError,
)
from modelyard.oci.registry_config import RegistryAccess
from modelyard.retry import Retry

DIGEST = "sha256:" + "a" * 64


def test_request_is_retried_until_the_registry_recovers(
    web: WebServer, registry: RegistryClient, waits: list[float]
) -> None:
    answers = iter(
        [
            Response(503),
            Response(429, headers={"Retry-After": "7"}),
            Response(headers={"Docker-Content-Digest": DIGEST}),
        ]
    )
    web.respond = lambda _: next(answers)
    assert registry.resolve(f"{web.address}/models/x:1") == DIGEST
    assert waits == [0.5, 7.0]


def test_unreachable_registry_is_a_transient_error(retry: Retry, waits: list[float]) -> None:
    with (
        RegistryClient(RegistryAccess(), retry=retry) as registry,
        pytest.raises(RegistryUnavailableError) as failure,
    ):
        registry.resolve("127.0.0.1:1/x:1")
    assert "127.0.0.1:1 cannot be reached" in str(failure.value)
    assert failure.value.transient
    assert len(waits) == 3


@pytest.mark.parametrize("status", [401, 403])
def test_forbidden_request_is_not_retried(
    web: WebServer, registry: RegistryClient, waits: list[float], status: int
) -> None:
    web.respond = lambda _: Response(status)
    with pytest.raises(RegistryForbiddenError, match=f"{web.address} answers {status}"):
        registry.resolve(f"{web.address}/models/x:1")
    assert waits == []
