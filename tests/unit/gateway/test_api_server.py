"""The gateway's client of the API server."""

from __future__ import annotations

import subprocess
import sys

from modelyard.gateway.api_server import connect
from modelyard.gateway.settings import GatewaySettings


async def test_unreachable_api_server_does_not_respond() -> None:
    client = connect(GatewaySettings(api_server="http://127.0.0.1:1/"))
    assert not await client.responds()
    await client.close()


def test_gateway_imports_neither_kubernetes_nor_aiohttp() -> None:
    """Both cost memory that each replica of the gateway would hold."""
    code = "import sys, modelyard.gateway.server; print({'kubernetes', 'aiohttp', 'kopf'} & set(sys.modules))"
    result = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert result.stdout.strip() == "set()"
