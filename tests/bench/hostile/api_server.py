"""The API server's answers for one empty namespace, so that the benchmark of the gateway needs no cluster."""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class _Connection(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._received = b""

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._received.endswith(b"\r\n\r\n"):
            return
        is_list = b"/controllerrevisions?" in self._received
        self._received = b""
        body = b'{"metadata": {}, "items": []}' if is_list else b'{"metadata": {"name": "team-a"}}'
        self._transport.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b"
            % (len(body), body)
        )


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Connection, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_serve(int(sys.argv[1])))
