"""A TCP proxy, of a server at a port or a Unix socket, that closes connections after a number of bytes."""

from __future__ import annotations

import contextlib
import socket
import threading

from tests.support.servers import Target, connect


class BreakingProxy:
    """Forwards connections from `host` to `target`.

    It closes a connection whose bytes, of both directions, reach the first number in `breaks`, and removes
    that number. With an empty list it closes none.
    """

    def __init__(self, target: Target, host: str = "127.0.0.1") -> None:
        self.breaks: list[int] = []
        self.broken = 0
        self._target = target
        self._server = socket.create_server((host, 0))
        self.address = f"{host}:{self._server.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        """Accept no further connections."""
        with contextlib.suppress(OSError):
            self._server.shutdown(socket.SHUT_RDWR)
        self._server.close()

    def takes_break(self, passed: int) -> bool:
        """Return True if a connection breaks after `passed` bytes, and remove that break."""
        if not self.breaks or passed < self.breaks[0]:
            return False
        del self.breaks[0]
        self.broken += 1
        return True

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._server.accept()
                threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client, contextlib.suppress(OSError), connect(self._target) as server:
            connection = _Connection(self)
            back = threading.Thread(target=connection.pump, args=(server, client), daemon=True)
            back.start()
            connection.pump(client, server)
            back.join()


class _Connection:
    def __init__(self, proxy: BreakingProxy) -> None:
        self._proxy = proxy
        self._passed = 0

    def pump(self, source: socket.socket, sink: socket.socket) -> None:
        """Copy bytes from a socket to the other until the end or a break."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
                self._passed += len(data)
                if self._proxy.takes_break(self._passed):
                    break
            else:
                sink.shutdown(socket.SHUT_WR)
                return
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
