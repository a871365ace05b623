"""HTTP server of the kubelet's probes, on the event loop that the probes judge.

kopf's own liveness endpoint begins only after the first lists. It holds a request for 60 s while it retries a
failed handler. One bad reading would become six time-outs in a row, and a restart.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from aiohttp import web

from modelyard.controller.controller import Controller

LIVENESS_PATH: Final = "/healthz"
READINESS_PATH: Final = "/readyz"


class Probes:
    """Answers the liveness and the readiness probe."""

    def __init__(self, controller: Controller):
        self._controller = controller

    async def liveness(self, _: web.Request) -> web.Response:
        """Answer 200 while the event loop and all tasks run, else 500 with the reason."""
        try:
            self._controller.check_liveness()
        except RuntimeError as error:
            return web.Response(status=500, text=str(error))
        return web.Response(text="ok")

    async def readiness(self, _: web.Request) -> web.Response:
        """Answer 200 with the age of each watch in seconds, or 503 with the reason."""
        try:
            seconds = self._controller.check_readiness()
        except RuntimeError as error:
            return web.Response(status=503, text=str(error))
        return web.json_response(seconds)


@asynccontextmanager
async def serve_probes(controller: Controller, port: int) -> AsyncIterator[int]:
    """Serve the probes on a port while the context lasts; yield the port, a free one for 0.

    Raises OSError if the port is in use.
    """
    probes = Probes(controller)
    app = web.Application()
    app.add_routes([web.get(LIVENESS_PATH, probes.liveness), web.get(READINESS_PATH, probes.readiness)])
    runner = web.AppRunner(app, handle_signals=False, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "0.0.0.0", port).start()  # noqa: S104 - the kubelet comes from the node
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
