"""The operator's answers to the kubelet's probes.

kopf's own liveness endpoint begins only after the first lists. It holds a request for 60 s while it retries a
failed handler. One bad reading would become six time-outs in a row, and a restart.
"""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager

from aiohttp import web

from modelyard import probe_server
from modelyard.controller.controller import Controller


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


def serve_probes(controller: Controller, port: int) -> AbstractAsyncContextManager[int]:
    """Serve the probes on a port while the context lasts; yield the port, a free one for 0.

    Raises OSError if the port is in use.
    """
    probes = Probes(controller)
    return probe_server.serve_probes(
        port,
        probes.liveness,
        probes.readiness,
        host="0.0.0.0",  # noqa: S104 - the kubelet comes from the node
    )
