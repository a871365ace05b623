"""The gateway's process."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path
from typing import Final

import uvicorn
from pydantic import ValidationError

from modelyard import logs
from modelyard.gateway.api_server import connect
from modelyard.gateway.app import application
from modelyard.gateway.certificate import renew
from modelyard.gateway.settings import CONFIG_VARIABLE, load

_DRAIN_SECONDS: Final = 25  # for requests in flight after SIGTERM


def run() -> int:
    """Serve until SIGTERM or SIGINT; return 0, or 2 if the configuration is not valid."""
    try:
        settings = load()
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{CONFIG_VARIABLE}: {error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    config = uvicorn.Config(
        application(settings, connect(settings)),
        host=settings.host,
        port=settings.port,
        loop="uvloop",
        http="httptools",
        ssl_certfile=settings.tls_certificate_path,
        ssl_keyfile=settings.tls_key_path,
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=_DRAIN_SECONDS,
    )
    _Server(config).run()
    return 0


class _Server(uvicorn.Server):
    """A server that loads a renewed certificate without a restart."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        config.load()
        renewal = None
        if config.ssl and config.ssl_certfile and config.ssl_keyfile:
            files = Path(config.ssl_certfile), Path(config.ssl_keyfile)
            renewal = asyncio.create_task(renew(config.ssl, *files))
        await super().serve(sockets)
        if renewal:
            renewal.cancel()
