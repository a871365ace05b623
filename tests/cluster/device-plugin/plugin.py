"""A device plugin of the kubelet, for tests: its devices need no hardware.

Arguments: the extended resource, and the IDs of its devices. A device is unhealthy while /tmp/ID exists. Each
device appears in its container as /dev/nvidia<number>, and in the variable NVIDIA_VISIBLE_DEVICES.

https://kubernetes.io/docs/concepts/extend-kubernetes/compute-storage-net/device-plugins/. The messages are so
few that this file encodes them:
https://github.com/kubernetes/kubelet/blob/v0.34.0/pkg/apis/deviceplugin/v1beta1/api.proto
"""

from __future__ import annotations

import signal
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import grpc

FOLDER: Final = Path("/var/lib/kubelet/device-plugins")
KUBELET: Final = FOLDER / "kubelet.sock"
SOCKET: Final = FOLDER / "modelyard-test.sock"
API: Final = "v1beta1"
TURN_SECONDS: Final = 0.1


def field(number: int, *contents: bytes) -> bytes:
    """Return a repeated field of strings, maps or messages."""
    return b"".join(_varint(number << 3 | 2) + _varint(len(content)) + content for content in contents)


def _varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + _varint(rest) if rest else bytes([low])


def contents(message: bytes) -> Iterator[bytes]:
    """Yield the contents of the fields of a message, which are strings or messages below 128 bytes."""
    while message:
        size = message[1]
        yield message[2 : 2 + size]
        message = message[2 + size :]


class Plugin(grpc.GenericRpcHandler):
    """Answers the calls of the kubelet."""

    def __init__(self, devices: list[str]) -> None:
        self._devices = devices

    def service(self, details: Any) -> Any:
        """Return the handler of a method, None for an unknown one."""
        if details.method == f"/{API}.DevicePlugin/ListAndWatch":
            return grpc.unary_stream_rpc_method_handler(self._list_and_watch)
        if details.method == f"/{API}.DevicePlugin/Allocate":
            return grpc.unary_unary_rpc_method_handler(self._allocate)
        if details.method == f"/{API}.DevicePlugin/GetDevicePluginOptions":
            return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")
        return None

    def _list_and_watch(self, request: bytes, context: Any) -> Iterator[bytes]:
        last = b""
        while context.is_active():
            now = b"".join(
                field(1, field(1, name.encode()) + field(2, _health(name))) for name in self._devices
            )
            if now != last:
                yield now
            last = now
            time.sleep(TURN_SECONDS)

    def _allocate(self, request: bytes, context: Any) -> bytes:
        return b"".join(
            field(1, self._container([name.decode() for name in contents(container)]))
            for container in contents(request)
        )

    def _container(self, names: list[str]) -> bytes:
        variable = field(1, b"NVIDIA_VISIBLE_DEVICES") + field(2, ",".join(names).encode())
        devices = [
            field(1, b"/dev/nvidia%d" % self._devices.index(name)) + field(2, b"/dev/null") + field(3, b"rw")
            for name in names
        ]
        return field(1, variable) + field(3, *devices)


def _health(name: str) -> bytes:
    return b"Unhealthy" if Path("/tmp", name).exists() else b"Healthy"


def register(resource: str) -> None:
    """Register the socket with the kubelet."""
    request = field(1, API.encode()) + field(2, SOCKET.name.encode()) + field(3, resource.encode())
    with grpc.insecure_channel(f"unix://{KUBELET}") as channel:
        channel.unary_unary(f"/{API}.Registration/Register")(request, timeout=10, wait_for_ready=True)


def main(resource: str, *devices: str) -> None:
    """Serve until SIGTERM, and leave no socket behind. A kubelet that restarts gets a new registration."""
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    SOCKET.unlink(missing_ok=True)
    server = grpc.server(ThreadPoolExecutor(4), handlers=[Plugin(list(devices))])
    server.add_insecure_port(f"unix://{SOCKET}")
    server.start()
    registered_with = None
    while not ended.wait(TURN_SECONDS):
        kubelet = KUBELET.stat().st_ino if KUBELET.exists() else None
        if kubelet and kubelet != registered_with:
            register(resource)
            registered_with = kubelet
    server.stop(None).wait()
    SOCKET.unlink(missing_ok=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
