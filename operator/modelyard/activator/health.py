"""The activator's answers to the kubelet's probes."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from aiohttp import web

from modelyard import probe_server


def serve_probes(port: int, is_ready: Callable[[], bool]) -> AbstractAsyncContextManager[int]:
    """Serve the probes on a port while the context lasts; yield the port, a free one for 0.

    Raises OSError if the port is in use.
    """

    async def liveness(_: web.Request) -> web.Response:
        return web.Response(text="ok")

    async def readiness(_: web.Request) -> web.Response:
        return web.Response(text="ok") if is_ready() else web.Response(status=503, text="not ready")

    return probe_server.serve_probes(port, liveness, readiness)
