"""HTTP server of the kubelet's probes, on the event loop that the probes judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

LIVENESS_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"

Probe = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serve_probes(
    port: int, liveness: Probe, readiness: Probe, *, host: str | None = None
) -> AsyncIterator[int]:
    """Serve the probes on a port while the context lasts; yield the port, a free one for 0.

    Without `host` it listens at all addresses. Raises OSError if the port is in use.
    """
    app = web.Application()
    app.add_routes([web.get(LIVENESS_PATH, liveness), web.get(READINESS_PATH, readiness)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
