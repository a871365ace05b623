"""The gateway's process."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from pydantic import ValidationError

from modelyard import logs
from modelyard.gateway.app import application
from modelyard.gateway.certificate import renew
from modelyard.gateway.cluster import Cluster
from modelyard.gateway.settings import CONFIG_VARIABLE, load

_DRAIN_SECONDS = 25  # for calls under way when it is told to stop


def run() -> int:
    """Serve until SIGTERM or SIGINT; 0, or 2 when the configuration is not usable."""
    try:
        settings = load()
    except (OSError, ValidationError) as error:
        sys.stderr.write(f"{CONFIG_VARIABLE}: {error}\n")
        return 2
    logs.configure(settings.log_level, settings.log_format)
    config = uvicorn.Config(
        application(settings, Cluster(settings)),
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
    """Serves a certificate that is renewed from then on."""

    async def serve(self, sockets: list[socket.socket] | None = None) -> None:
        config = self.config
        config.load()
        renewing = None
        if config.ssl and config.ssl_certfile and config.ssl_keyfile:
            files = Path(config.ssl_certfile), Path(config.ssl_keyfile)
            renewing = asyncio.create_task(renew(config.ssl, *files))
        await super().serve(sockets)
        if renewing:
            renewing.cancel()
