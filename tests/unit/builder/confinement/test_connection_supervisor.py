"""System calls of a confined process: only TCP, and only to the guard of the build."""

from __future__ import annotations

import errno
import socket
import subprocess
import sys
import threading

import pytest

from modelyard.builder.confinement.connection_supervisor import ConnectionSupervisor

PROGRAM = """
import asyncio, os, socket, subprocess, sys, threading
from modelyard.builder.confinement.connection_supervisor import send_filter
from modelyard.builder.confinement.system_call_filter import filter_system_calls
sender, guard, other = map(int, sys.argv[1:])
send_filter(sender, filter_system_calls(supervised=True))
def attempt(name, action):
    try:
        print(name, action())
    except OSError as error:
        print(name, error.errno)
def connect(host, port, timeout=5):
    with socket.create_connection((host, port), timeout) as connection:
        return connection.recv(5).decode()
async def connect_async():
    reader, writer = await asyncio.open_connection("127.0.0.1", guard)
    return (await reader.read(5)).decode()
attempt("guard", lambda: connect("127.0.0.1", guard))
attempt("blocking", lambda: connect("127.0.0.1", guard, None))
attempt("asyncio", lambda: asyncio.run(connect_async()))
attempt("child", lambda: subprocess.run(["true"]).returncode)
attempt("pair", lambda: len(socket.socketpair()))
attempt("port", lambda: connect("127.0.0.1", other))
attempt("metadata", lambda: connect("169.254.169.254", 80))
attempt("host", lambda: connect("192.0.2.1", guard))
attempt("ipv6", lambda: connect("::1", guard))
attempt("udp", lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
attempt("raw", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW))
attempt("unix", lambda: socket.socket(socket.AF_UNIX))
attempt("netlink", lambda: socket.socket(socket.AF_NETLINK, socket.SOCK_RAW))
attempt("mptcp", lambda: socket.socket(socket.AF_INET, socket.SOCK_STREAM, 262))
attempt("listen", lambda: socket.create_server(("127.0.0.1", 0)))
attempt("fastopen", lambda: socket.socket().sendto(b"x", 0x20000000, ("127.0.0.1", other)))
attempt("sendmsg", lambda: socket.socket().sendmsg([b"x"], [], 0x20000000, ("127.0.0.1", other)))
attempt("mount", lambda: os.chroot("/"))
"""
REFUSED = ("port", "metadata", "host", "ipv6", "udp", "raw", "unix", "netlink", "mptcp", "listen", "fastopen",
           "sendmsg", "mount")  # fmt: skip


def _greet(server: socket.socket) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        connection.sendall(b"guard")
        connection.close()


@pytest.fixture(scope="module")
def attempts() -> dict[str, str]:
    with (
        socket.create_server(("127.0.0.1", 0)) as guard,
        socket.create_server(("127.0.0.1", 0)) as other,
        ConnectionSupervisor(guard.getsockname()[1]) as supervisor,
    ):
        threading.Thread(target=_greet, args=(guard,), daemon=True).start()
        ports = [str(server.getsockname()[1]) for server in (guard, other)]
        sender = supervisor.sender.fileno()
        command = [sys.executable, "-c", PROGRAM, str(sender), *ports]
        done = subprocess.run(
            command, pass_fds=[sender], capture_output=True, text=True, check=False, timeout=60
        )
        guard.shutdown(socket.SHUT_RDWR)
    assert done.returncode == 0, done.stderr
    return dict(line.split() for line in done.stdout.splitlines())


def test_confined_process_reaches_the_guard(attempts: dict[str, str]) -> None:
    allowed = {name: result for name, result in attempts.items() if name not in REFUSED}
    assert allowed == {"guard": "guard", "blocking": "guard", "asyncio": "guard", "child": "0", "pair": "2"}


@pytest.mark.parametrize("name", REFUSED)
def test_other_sockets_are_refused(attempts: dict[str, str], name: str) -> None:
    assert attempts[name] == str(errno.EACCES)
