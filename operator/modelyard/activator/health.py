"""HTTP server of the kubelet's probes, on the event loop that the probes judge."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

LIVENESS_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"


@asynccontextmanager
async def serve_probes(port: int, is_ready: Callable[[], bool]) -> AsyncIterator[int]:
    """Serve the probes on a port while the context lasts; yield the port, a free one for 0.

    Raises OSError if the port is in use.
    """

    async def liveness(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(status=503, text="not ready")

    app = web.Application()
    app.add_routes([web.get(LIVENESS_PATH, liveness), web.get(READINESS_PATH, readiness)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, port=port).start()
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
