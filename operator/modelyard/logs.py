"""Structured logs: one JSON object a line, or plain text for a terminal."""

from __future__ import annotations

import logging
import sys

from pythonjsonlogger.json import JsonFormatter


def configure(level: str, form: str) -> None:
    """Send all logs to stderr at `level`; `form` is json or text."""
    handler = logging.StreamHandler(sys.stderr)
    plain = "%(asctime)s %(levelname)s %(name)s %(message)s"
    handler.setFormatter(
        JsonFormatter(plain, rename_fields={"asctime": "time", "levelname": "level", "name": "logger"})
        if form == "json"
        else logging.Formatter(plain)
    )
    logging.basicConfig(level=level, handlers=[handler], force=True)
    # Each object that comes or goes would be a line of the framework's.
    logging.getLogger("kopf").setLevel(logging.WARNING)
    # And each probe of the kubelet, and each request to the registry.
    for name in ("aiohttp.access", "httpx"):
        logging.getLogger(name).setLevel(logging.WARNING)
