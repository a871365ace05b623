"""The gateway's process: listen, serve, and drain after SIGTERM."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

import uvloop
from prometheus_client import start_http_server

from modelyard.gateway.api_server import connect
from modelyard.gateway.app import application
from modelyard.gateway.asgi_server import AsgiServer
from modelyard.gateway.metrics import REGISTRY
from modelyard.gateway.settings import CONFIG_VARIABLE, GatewaySettings, load
from modelyard.https.certificate import renew
from modelyard.https.listener import Listener
from modelyard.kube.client import Client
from modelyard.process_start import INVALID_SETTINGS, start, stop_event
from modelyard.scoring.front.garbage import spare_garbage_collection
from modelyard.scoring.front.http_connection import HttpConnection
from modelyard.scoring.front.http_server import TICK_SECONDS

_DRAIN_SECONDS: Final = 25  # for requests in flight after SIGTERM
_CLOSE_SECONDS: Final = 2  # for clients to read their responses and close
_POLL_SECONDS: Final = 0.05
_BACKLOG: Final = 2048  # connections that the kernel accepts before the process does


def run() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the configuration is not valid."""
    settings = start(load, CONFIG_VARIABLE)
    if settings is None:
        return INVALID_SETTINGS
    if settings.metrics_port:
        start_http_server(settings.metrics_port, registry=REGISTRY)
    spare_garbage_collection()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(_serve(settings))
    return 0


async def _serve(settings: GatewaySettings) -> None:
    stop = stop_event()
    await serve(settings, connect(settings), stop)


async def serve(settings: GatewaySettings, client: Client, stop: asyncio.Event) -> None:
    """Serve until `stop` is set, then drain, and close the client of the API server."""
    context = _tls_context(settings)
    server = AsgiServer(application(settings, client), "https" if context else "http")
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    with socket.create_server((settings.host, settings.port), family=family, backlog=_BACKLOG) as sock:
        listener = Listener(sock, context, lambda: HttpConnection(server))
        accepting = asyncio.create_task(listener.run())
        background = [asyncio.create_task(_tick(server))]
        if context is not None and settings.tls_certificate_path and settings.tls_key_path:
            files = Path(settings.tls_certificate_path), Path(settings.tls_key_path)
            background.append(asyncio.create_task(renew(context, *files)))
        await stop.wait()
        accepting.cancel()
    await _drain(server)
    for task in background:
        task.cancel()
    await client.close()


def _tls_context(settings: GatewaySettings) -> ssl.SSLContext | None:
    if not settings.tls_certificate_path:
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(settings.tls_certificate_path, settings.tls_key_path)
    return context


async def _tick(server: AsgiServer) -> None:
    while True:
        await asyncio.sleep(TICK_SECONDS)
        server.tick()


async def _drain(server: AsgiServer) -> None:
    """Answer the accepted requests, then close all connections."""
    server.draining = True
    await _close_idle_while(lambda: server.busy, server, _DRAIN_SECONDS)
    await _close_idle_while(lambda: bool(server.connections), server, _CLOSE_SECONDS)
    await server.cancel()


async def _close_idle_while(condition: Callable[[], bool], server: AsgiServer, seconds: float) -> None:
    """Close idle connections while the condition holds, for a bounded time."""
    end = time.monotonic() + seconds
    while condition() and time.monotonic() < end:
        server.close_idle()
        await asyncio.sleep(_POLL_SECONDS)
