"""The gateway's client of the API server: one connection pool, and no credentials but those of callers."""

from __future__ import annotations

from typing import Final

from modelyard.backoff import Backoff
from modelyard.gateway.settings import GatewaySettings
from modelyard.kube.client import Client, RetryPolicy
from modelyard.kube.config import ServerConfig
from modelyard.kube.pyreqwest_transport import PyreqwestTransport, Timeouts

FIELD_MANAGER: Final = "modelyard-gateway"
# A read is repeated if the connection breaks: an API server that restarts is away for moments. A 429 or a 5xx
# goes to the caller, with Retry-After.
RETRIES: Final = RetryPolicy(
    attempts=3, backoff=Backoff(first_seconds=0.3, most_seconds=0.6), writes=False, responses=False
)
_TIMEOUTS: Final = Timeouts(connect_seconds=3, total_seconds=10)
_MAX_REQUESTS: Final = 64


def connect(settings: GatewaySettings) -> Client:
    """Return an anonymous client of the configured API server; `with_token` adds a caller's credentials."""
    server = ServerConfig(
        url=settings.api_server.rstrip("/"), ca_path=settings.ca_path, verify_tls=not settings.insecure
    )
    transport = PyreqwestTransport(
        server, user_agent=FIELD_MANAGER, timeouts=_TIMEOUTS, max_requests=_MAX_REQUESTS
    )
    return Client(transport, retries=RETRIES)
