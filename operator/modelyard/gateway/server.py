"""The gateway's process."""

from __future__ import annotations

import sys

import uvicorn
from pydantic import ValidationError

from modelyard import logs
from modelyard.gateway.app import application
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
    uvicorn.run(
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
    return 0
